// Prints what Perigee is made of as a CycloneDX 1.5 document:
//   node deploy/sbom.mjs [--check] >perigee.cdx.json
// The list is the build's own: every find_package and find_path of cmake/deps.cmake, with the version
// and the licence file of the Debian package that is installed for it, and the llama.cpp packages that
// deps/llama/package-lock.json pins by sha512. It fails when deps.cmake names a dependency that is not
// in the table below, or the table names one that deps.cmake does not. --check prints nothing.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const read = (path) => readFileSync(join(root, path), 'utf8');

// Name in deps.cmake: the Debian packages that may bring it, the licence, what it is needed for.
const dependencies = {
  Threads: { packages: ['libc6'], licence: 'LGPL-2.1-or-later', scope: 'required' },
  Boost: { packages: ['libboost-json1.81.0', 'libboost-json1.83.0', 'libboost-json1.81-dev', 'libboost-json1.83-dev'],
    licence: 'BSL-1.0', scope: 'required' },
  OpenSSL: { packages: ['libssl3', 'libssl3t64', 'libssl-dev'], licence: 'Apache-2.0', scope: 'required' },
  SQLite3: { packages: ['libsqlite3-0', 'libsqlite3-dev'], licence: 'blessing', scope: 'required' },
  simdjson: { packages: ['libsimdjson-dev'], licence: 'Apache-2.0', scope: 'required' },
  fmt: { packages: ['libfmt-dev'], licence: 'MIT', scope: 'required' },
  CLI11: { packages: ['libcli11-dev'], licence: 'BSD-3-Clause', scope: 'required' },
  tomlplusplus: { packages: ['libtomlplusplus-dev'], licence: 'MIT', scope: 'required' },
  'xxhash.h': { packages: ['libxxhash-dev'], licence: 'BSD-2-Clause', scope: 'required' },
  GTest: { packages: ['libgtest-dev'], licence: 'BSD-3-Clause', scope: 'excluded' },
  benchmark: { packages: ['libbenchmark-dev'], licence: 'Apache-2.0', scope: 'excluded' },
};

function fail(message) {
  process.stderr.write(`sbom: ${message}\n`);
  process.exit(1);
}

function named() {
  const text = read('cmake/deps.cmake').replace(/#.*$/gm, '');
  return [...text.matchAll(/find_package\((\S+)/g), ...text.matchAll(/find_path\(\S+ (\S+)/g)].map(([, name]) => name);
}

function installed(name) {
  const { packages } = dependencies[name];
  for (const each of packages) {
    try {
      const format = '${db:Status-Status} ${Version} ${Architecture}';
      const [status, version, architecture] = execFileSync('dpkg-query', ['-W', `-f=${format}\n`, each],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('\n')[0].split(' ');
      if (status === 'installed') return { package: each, version, architecture };
    } catch { /* the next name */ }
  }
  return fail(`${name} is installed as none of: ${packages.join(', ')}`);
}

function debian_component(name) {
  const found = installed(name);
  const { licence, scope } = dependencies[name];
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const distribution = release.match(/^ID="?(\w+)/m)?.[1] ?? 'debian';
  const codename = release.match(/^VERSION_CODENAME="?(\w+)/m)?.[1];
  const purl = `pkg:deb/${distribution}/${found.package}@${encodeURIComponent(found.version)}?arch=${found.architecture}`
    + (codename ? `&distro=${codename}` : '');
  return { type: 'library', 'bom-ref': purl, name, version: found.version, scope,
    licenses: [{ license: licence === 'blessing' ? { id: 'blessing' } : { id: licence } }], purl };
}

function llama_components() {
  const { packages } = JSON.parse(read('deps/llama/package-lock.json'));
  const release = read('cmake/llama.cmake').match(/set\(PERIGEE_LLAMA_RELEASE (\S+)\)/)[1];
  const commit = read('cmake/llama.cmake').match(/set\(PERIGEE_LLAMA_COMMIT (\w+)\)/)[1];
  return Object.entries(packages)
    .filter(([path]) => /^node_modules\/(@node-llama-cpp\/linux-[^/]+|node-llama-cpp)$/.test(path))
    .map(([path, { version, integrity }]) => {
      const name = path.slice('node_modules/'.length);
      if (!integrity?.startsWith('sha512-')) fail(`${name} is not pinned by sha512`);
      const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
      return { type: 'library', 'bom-ref': purl, name, version, scope: 'required', licenses: [{ license: { id: 'MIT' } }],
        purl, description: `llama.cpp, release ${release}`,
        hashes: [{ alg: 'SHA-512', content: Buffer.from(integrity.slice(7), 'base64').toString('hex') }],
        pedigree: { commits: [{ uid: commit }] } };
    });
}

const names = named();
for (const name of names) if (!(name in dependencies)) fail(`cmake/deps.cmake needs ${name}: add it to the table`);
for (const name of Object.keys(dependencies)) {
  if (!names.includes(name)) fail(`${name} is in the table, but not in cmake/deps.cmake`);
}
const version = read('CMakeLists.txt').match(/project\([^)]*VERSION (\S+)/s)[1];
const components = [...names.map(debian_component), ...llama_components()];
// The same list gives the same serial number.
const digest = createHash('sha256').update(JSON.stringify([version, components])).digest('hex');
const uuid = [digest.slice(0, 8), digest.slice(8, 12), `5${digest.slice(13, 16)}`, `8${digest.slice(17, 20)}`,
  digest.slice(20, 32)].join('-');
const document = {
  bomFormat: 'CycloneDX', specVersion: '1.5', serialNumber: `urn:uuid:${uuid}`, version: 1,
  metadata: { component: { type: 'application', 'bom-ref': 'perigee', name: 'perigee', version,
    licenses: [{ license: { id: 'Apache-2.0' } }] } },
  components,
  dependencies: [{ ref: 'perigee', dependsOn: components.filter(({ scope }) => scope === 'required').map((each) => each['bom-ref']) }],
};
if (!process.argv.includes('--check')) process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
