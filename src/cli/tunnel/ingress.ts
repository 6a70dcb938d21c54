// Which frames an ingress_interface means: "1" the untagged of port 1, "1.100" those of its VLAN 100, "1.*" all of it; ""
// the untagged of any port. The device names ports in one way, so names can be compared.

interface Ingress {
  /** Undefined: any. */
  readonly port?: string | undefined;
  readonly vlan: string;
}

const UNTAGGED = "0";
const ANY = "*";

function parse(text: string): Ingress {
  if (text === "") return { vlan: UNTAGGED };
  const [, port, vlan] = /^(.*)\.(\d+|\*)$/.exec(text) ?? [];
  return port === undefined || vlan === undefined ? { port: text, vlan: UNTAGGED } : { port, vlan };
}

/** Whether some frame is meant by both. */
export function meets(a: string, b: string): boolean {
  const [one, other] = [parse(a), parse(b)];
  const ports = one.port === undefined || other.port === undefined || one.port === other.port;
  return ports && (one.vlan === other.vlan || one.vlan === ANY || other.vlan === ANY);
}

/** Whether all frames of `inner` are meant by `outer`. */
export function covers(outer: string, inner: string): boolean {
  const [whole, part] = [parse(outer), parse(inner)];
  return (whole.port === undefined || whole.port === part.port) && (whole.vlan === ANY || whole.vlan === part.vlan);
}
