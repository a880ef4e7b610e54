/** PEM files for TLS on the main listener. */
export interface TlsFiles {
  /** The certificate, then its intermediates. */
  readonly certFile: string;
  /** The private key of that certificate. */
  readonly keyFile: string;
  /** The CA certificates that client certificates are checked against; undefined: clients need no certificate. */
  readonly clientCaFile?: string | undefined;
}

/** Thrown if a file cannot be used for TLS. `message` is one line that names the flag, the file and the reason. */
export class TlsFileError extends Error {
  constructor(flag: string, file: string, reason: string) {
    super(`${flag}: ${file} ${reason}`);
    this.name = "TlsFileError";
  }
}
