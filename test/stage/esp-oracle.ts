// ESP as others make and open it: scapy for all of AES-CCM and for AES-GCM with 16 bytes of ICV, python3-cryptography for
// the shorter ICVs of AES-GCM, which scapy does not cut. One Python process for a whole batch.

import { spawnSync } from "node:child_process";

/** The keys of esp-rig.ts; `esp` makes an ESP packet of any plaintext, `sealed` and `opened` go through scapy's own ESP. */
export const ORACLE = `
import copy, functools, struct
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes, aead
from scapy.layers.ipsec import *
from scapy.layers.ipsec import CRYPT_ALGOS
def icv_of(suite): return 8 + 4 * (suite >> 2)
def key_of(suite, spi): return bytes((i * 7 + suite + spi) & 255 for i in range(32 if suite & 1 else 16))
def salt_of(suite, spi): return bytes((0xf0 - i - suite - spi) & 255 for i in range(3 if suite & 2 else 4))
class Gcm:
    def __init__(self, key, n): self.key, self.n = key, n
    def encrypt(self, nonce, data, aad): return aead.AESGCM(self.key).encrypt(nonce, data, aad)[:len(data) + self.n]
    def decrypt(self, nonce, data, aad):
        d = Cipher(algorithms.AES(self.key), modes.GCM(nonce, data[-self.n:], min_tag_length=self.n)).decryptor()
        d.authenticate_additional_data(aad)
        return d.update(data[:-self.n]) + d.finalize()
for n in (8, 12):
    CRYPT_ALGOS[f'GCM-{n}'] = copy.copy(CRYPT_ALGOS['AES-GCM'])
    CRYPT_ALGOS[f'GCM-{n}'].cipher = functools.partial(Gcm, n=n)
def sa(suite, spi, tunnel=None, high=None):
    algo = 'AES-CCM' if suite & 2 else 'AES-GCM' if icv_of(suite) == 16 else f'GCM-{icv_of(suite)}'
    return SecurityAssociation(ESP, spi=spi, crypt_algo=algo, crypt_key=key_of(suite, spi) + salt_of(suite, spi),
        crypt_icv_size=icv_of(suite), tunnel_header=tunnel, esn_en=high is not None, esn=high or 0)
def into_udp(p, sport=4500, dport=4500, chksum=None):
    e = p[ESP]; under = e.underlayer; under.remove_payload()
    for f in ('len', 'chksum', 'plen'):
        if f in p.fields: delattr(p, f)
    delattr(under, 'proto' if p.version == 4 else 'nh')
    if chksum is None and p.version == 4: chksum = 0
    return p.__class__(bytes(p / UDP(sport=sport, dport=dport, chksum=chksum) / Raw(bytes(e))))
def out_of_udp(p, sport=4500, dport=4500):
    u = p[UDP]; under = u.underlayer; e = ESP(bytes(u.payload))
    assert (u.sport, u.dport, u.len) == (sport, dport, 8 + len(e)), 'UDP header'
    q = p.copy(); del q[UDP].chksum
    assert u.chksum == (0 if p.version == 4 else p.__class__(bytes(q))[UDP].chksum), 'UDP checksum'
    under.remove_payload()
    setattr(under, 'proto' if p.version == 4 else 'nh', 50)
    for f in ('len', 'chksum', 'plen'):
        if f in p.fields: delattr(p, f)
    return p.__class__(bytes(p / e))
def checked(p):
    if p.version == 4:
        q = p.copy(); del q.chksum
        assert p.__class__(bytes(q)).chksum == p.chksum, 'IP checksum'
    return p
def sealed(ip, suite, spi, seq=1, tunnel=None, high=None, natt=False, iv=None):
    s = sa(suite, spi, tunnel, high); s.seq_num = seq
    p = s.encrypt(ip, iv=iv or struct.pack('!Q', seq * 0x9e3779b97f4a7c15 & (1 << 64) - 1))
    return into_udp(p) if natt else p
def opened(ip, suite, spi, tunnel=False, high=None, natt=False):
    if natt: ip = out_of_udp(checked(ip), *(natt if isinstance(natt, list) else []))
    p = checked(ip)
    return sa(suite, spi, IP() if tunnel else None, high).decrypt(p)
def suite_of(suite, spi): return aead.AESCCM(key_of(suite, spi), tag_length=icv_of(suite)) if suite & 2 else Gcm(key_of(suite, spi), icv_of(suite))
def aad_of(spi, seq, high): return struct.pack('!LL', spi, seq) if high is None else struct.pack('!LLL', spi, high, seq)
def esp(data=b'', nh=4, seq=1, pad=None, padlen=None, suite=8, spi=0x100, high=None, cut=0):
    data = bytes(data)
    if pad is None: pad = bytes(range(1, 1 + (-len(data) - 2) % 4))
    text = data + pad + bytes([len(pad) if padlen is None else padlen, nh])
    iv = struct.pack('!Q', 0x0123456789abcdef ^ seq)
    c = suite_of(suite, spi).encrypt(salt_of(suite, spi) + iv, text, aad_of(spi, seq, high))
    return ESP(spi=spi, seq=seq, data=(iv + c)[:len(iv + c) - cut])
def plain(p, suite=8, high=None):
    e = p[ESP]
    return suite_of(suite, e.spi).decrypt(salt_of(suite, e.spi) + e.data[:8], e.data[8:], aad_of(e.spi, e.seq, high))
`;

/** @param code reads JSON from stdin as \`asked\`, and leaves its answer in \`out\` */
export function oracle<T>(code: string, asked: unknown): T {
  const script = `import json, sys, logging; logging.getLogger('scapy').setLevel(logging.ERROR)
from scapy.all import *
${ORACLE}
asked = json.load(sys.stdin)
${code}
print(json.dumps(out))
`;
  const input = JSON.stringify(asked);
  const done = spawnSync("/usr/bin/python3", ["-c", script], { input, encoding: "utf8", maxBuffer: 1 << 28, timeout: 100_000 });
  if (done.status !== 0) throw new Error(done.stderr);
  return JSON.parse(done.stdout) as T;
}

/** The value of an expression over `p` (the frame, read by scapy) for each frame. */
export function judge<T>(frames: readonly Uint8Array[], expression: string): T[] {
  const code = `out = []
for h in asked:
    p = Ether(bytes.fromhex(h))
    out.append(${expression})`;
  return oracle(
    code,
    frames.map((frame) => Buffer.from(frame).toString("hex")),
  );
}
