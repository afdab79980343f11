// The self-signed certificate: for whom it is good, that it is kept, and that the printed fingerprint is its own.
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer, get } from "node:https";
import type { AddressInfo } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { lanAddresses, openCertificate } from "../../server/tls.ts";

function scratch(): string {
  const data = mkdtempSync(join(tmpdir(), "tributary-tls-"));
  onTestFinished(() => rmSync(data, { recursive: true, force: true }));
  return data;
}

test("is made once, and its key is its owner's alone", async () => {
  const data = scratch();
  const made = await openCertificate(data);
  expect(await openCertificate(data)).toEqual(made);
  expect(statSync(join(data, "tls-key.pem")).mode & 0o777).toBe(0o600);
});

test("is good for localhost, the host's name and its addresses", async () => {
  const certificate = new X509Certificate((await openCertificate(scratch())).pem);
  for (const host of ["localhost", hostname()]) expect(certificate.checkHost(host), host).toBe(host);
  for (const ip of ["127.0.0.1", ...lanAddresses()]) expect(certificate.checkIP(ip), ip).toBe(ip);
  expect(certificate.checkHost("example.org")).toBe(undefined);
  expect(Date.parse(certificate.validTo)).toBeGreaterThan(Date.now());
});

test("serves a client that trusts it, which sees the printed fingerprint", async () => {
  const { key, pem, spki } = await openCertificate(scratch());
  const server = createServer({ key, cert: pem }, (_request, response) => response.end()).listen(
    0,
    "localhost",
  );
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  const seen = await new Promise<string>((resolve, reject) => {
    get({ host: "localhost", port, ca: pem, agent: false }, ({ socket }) => {
      const { publicKey } = (socket as TLSSocket).getPeerX509Certificate()!;
      const der = publicKey.export({ type: "spki", format: "der" });
      resolve(createHash("sha256").update(der).digest("base64"));
    }).on("error", reject);
  });
  expect(seen).toBe(spki);
});
