// A self-signed certificate for machines in a local network, where nobody signs certificates: pages need https to
// be given WebGPU anywhere but on localhost.
import { createHash, X509Certificate } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { hostname, networkInterfaces } from "node:os";
import { join } from "node:path";
import { generate } from "selfsigned";

export interface Certificate {
  readonly key: string;
  readonly pem: string;
  /** Base64 SHA-256 of the public key: what Chromium's --ignore-certificate-errors-spki-list takes. */
  readonly spki: string;
}

const YEAR_MS = 365 * 24 * 3600 * 1000;

/** The data folder's certificate, made at the first start with --tls: for localhost, the host name and each address. */
export async function openCertificate(data: string): Promise<Certificate> {
  const paths = { key: join(data, "tls-key.pem"), pem: join(data, "tls-certificate.pem") };
  const stored = await Promise.all([readFile(paths.key, "utf8"), readFile(paths.pem, "utf8")]).catch(
    () => null,
  );
  const fits = stored !== null && isCurrent(stored[1]);
  const [key, pem] = fits ? stored : await makeCertificate();
  if (!fits) {
    await writeFile(paths.key, key, { mode: 0o600 });
    await writeFile(paths.pem, pem);
  }
  const publicKey = new X509Certificate(pem).publicKey.export({ type: "spki", format: "der" });
  return { key, pem, spki: createHash("sha256").update(publicKey).digest("base64") };
}

/** Whether the certificate is still valid tomorrow, and for every address of this machine. */
function isCurrent(pem: string): boolean {
  const certificate = new X509Certificate(pem);
  const tomorrow = Date.now() + 24 * 3600 * 1000;
  return Date.parse(certificate.validTo) > tomorrow && lanAddresses().every((ip) => certificate.checkIP(ip));
}

async function makeCertificate(): Promise<[key: string, pem: string]> {
  const addresses = lanAddresses();
  const { private: key, cert } = await generate([{ name: "commonName", value: hostname() }], {
    keyType: "ec",
    notAfterDate: new Date(Date.now() + YEAR_MS),
    extensions: [
      {
        name: "subjectAltName",
        altNames: [
          ...["localhost", hostname()].map((value) => ({ type: 2 as const, value })),
          ...["127.0.0.1", ...addresses].map((ip) => ({ type: 7 as const, ip })),
        ],
      },
    ],
  });
  return [key, cert];
}

/** This machine's IPv4 addresses that others can reach. */
export function lanAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === "IPv4" && !internal)
    .map(({ address }) => address);
}
