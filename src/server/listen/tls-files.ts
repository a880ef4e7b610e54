/** Files in PEM with which the main listener speaks TLS. */
export interface TlsFiles {
  /** Certificate, with the intermediates behind it. */
  readonly certFile: string;
  /** Private key of that certificate. */
  readonly keyFile: string;
  /** Certificates that clients must be signed by; undefined: clients need none. */
  readonly clientCaFile?: string | undefined;
}

/** A file that is of no use for TLS. `message` is one line that names the flag, the file and the reason. */
export class TlsFileError extends Error {
  constructor(flag: string, file: string, reason: string) {
    super(`${flag}: ${file} ${reason}`);
    this.name = "TlsFileError";
  }
}
