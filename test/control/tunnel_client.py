"""A Python client of tunnels, for tunnel-python.test.ts. Arguments: target, directory of the generated messages.

Prints one JSON line per step. Stubs are made by hand: grpc_tools is not in Debian's python3-grpcio.
"""

import json
import socket
import struct
import sys

target, generated = sys.argv[1:3]
sys.path.insert(0, generated)

import grpc  # noqa: E402
import sluice_tunnel_pb2 as own  # noqa: E402
import tunneloffload_pb2 as pb  # noqa: E402

channel = grpc.insecure_channel(target)


def method(kind, path, request, response):
    return getattr(channel, kind)(path, request_serializer=request.SerializeToString, response_deserializer=response.FromString)


TUNNELS, OWN = "/tunneloffload.v2.IpTunnelService/", "/sluice.v1.Tunnels/"
create = method("stream_unary", TUNNELS + "CreateIpTunnel", pb.IpTunnelRequest, pb.CreateIpTunnelResponses)
get = method("unary_unary", TUNNELS + "GetIpTunnel", pb.TunnelId, pb.IpTunnelResponse)
get_all = method("unary_stream", TUNNELS + "GetAllIpTunnels", pb.TunnelRequestArgs, pb.IpTunnelResponses)
stats = method("unary_stream", TUNNELS + "GetAllIpTunnelsStats", pb.TunnelRequestArgs, pb.IpTunnelStatsResponses)
capabilities = method("unary_unary", TUNNELS + "Capabilities", pb.CapabilityRequest, pb.CapabilityResponse)
create_vxlan = method("stream_unary", OWN + "CreateVxlanTunnel", own.VxlanTunnelRequest, pb.CreateIpTunnelResponses)
get_vxlan = method("unary_unary", OWN + "GetVxlanTunnel", pb.TunnelId, own.VxlanTunnelRequest)
set_options = method("unary_unary", OWN + "SetTunnelOptions", own.TunnelOptions, own.TunnelOptions)
list_sas = method("unary_stream", OWN + "ListSas", pb.TunnelId, own.SaPage)


def s_addr(text):
    return struct.unpack("<I", socket.inet_pton(socket.AF_INET, text))[0]


def show(step, **values):
    print(json.dumps({"step": step, **values}), flush=True)


def answer(response):
    errors = [[r.tunnel_id, r.error.error_message.match_error, r.error.error_string] for r in response.responses if r.HasField("error")]
    return {"status": response.request_status, "mask": response.error_status, "ids": [r.tunnel_id for r in response.responses], "errors": errors}


# A chain: out of Geneve, and by its tunnel id into another Geneve; what that came from goes into VXLAN.
decap = pb.IpTunnelRequest(
    tunnel_id=1, operation=pb._CREATE, next_action=pb.RECIRCULATE,
    match_criteria=pb.MatchCriteria(
        ingress_interface="1",
        ipv4_match=pb.IPV4Match(destination_ip=s_addr("192.0.2.1")),
        geneve_match=pb.MatchCriteria.GeneveMatch(vni=0x4d2)),
    geneve=pb.Geneve(geneve_decap=pb.GeneveDecap()))
encap = pb.IpTunnelRequest(
    tunnel_id=2, operation=pb._CREATE, next_action=pb.FORWARD,
    match_criteria=pb.MatchCriteria(ingress_interface="1", tunnel_id=1, ipv6_match=pb.IPV6Match()),
    geneve=pb.Geneve(geneve_encap=pb.GeneveEncap(
        outer_ipv6_pair=pb.IPV6Pair(
            source_ip=socket.inet_pton(socket.AF_INET6, "2001:db8::1"), destination_ip=socket.inet_pton(socket.AF_INET6, "2001:db8::2")),
        inner_mac_pair=pb.MacPair(destination_mac=bytes(6), source_mac=b"02:00:00:00:00:01"),
        vni=7, option_length=4, protocol_type=0x6558,
        geneve_option=[pb.GeneveOption(option_class=258, type=129, length=1, data=b"\xca\xfe\xba\xbe")])))
unknown = pb.IpTunnelRequest(tunnel_id=9, operation=pb._DELETE)
show("create", **answer(create(iter([decap, encap, unknown]), timeout=5)))

vxlan = own.VxlanTunnelRequest(
    operation=pb._CREATE, next_action=pb.FORWARD,
    match_criteria=pb.MatchCriteria(tunnel_id=1, ipv4_match=pb.IPV4Match()),
    vxlan_encap=own.VxlanEncap(
        outer_ipv4_pair=pb.IPV4Pair(source_ip=s_addr("192.0.2.1"), destination_ip=s_addr("192.0.2.9")), vni=77))
made = create_vxlan(iter([vxlan]), timeout=5)
assigned = made.responses[0].tunnel_id
show("vxlan", **answer(made))
vxlan.tunnel_id = assigned
show("vxlan read back", same=get_vxlan(pb.TunnelId(tunnel_id=assigned), timeout=5) == vxlan)
options = set_options(own.TunnelOptions(tunnel_id=assigned, ttl=9), timeout=5)
show("options", ttl=options.ttl, dscp=options.dscp, udp_port=options.HasField("udp_port"))

one = get(pb.TunnelId(tunnel_id=1), timeout=5)
decap.match_criteria.ipv4_match.destination_ip_prefix = 32
show("decap read back", same=one.ip_tunnel == decap, counters=one.tunnel_counters.in_packets, error=one.HasField("error"))
two = get(pb.TunnelId(tunnel_id=2), timeout=5).ip_tunnel
show("encap read back", mac=two.geneve.geneve_encap.inner_mac_pair.source_mac.hex(), c=two.geneve.geneve_encap.critical_option_present,
     words=two.geneve.geneve_encap.option_length, any_ipv6=two.match_criteria.HasField("ipv6_match"))
show("list", pages=[[r.tunnel_id for r in page.responses] for page in get_all(pb.TunnelRequestArgs(tunnels_per_request=2), timeout=5)])
show("stats", pages=[len(page.responses) for page in stats(pb.TunnelRequestArgs(), timeout=5)])

gone = create(iter([pb.IpTunnelRequest(tunnel_id=1, operation=pb._DELETE)]), timeout=5)
orphan = get(pb.TunnelId(tunnel_id=2), timeout=5)
show("orphan", status=gone.request_status, error=orphan.error.error_message.match_error, sentence=orphan.error.error_string)
show("missing", error=get(pb.TunnelId(tunnel_id=1), timeout=5).error.error_string)
able = capabilities(pb.CapabilityRequest(), timeout=5)
show("capabilities", options=able.geneve_capabilities.number_geneve_options_supported,
     modes=list(able.ipsec_capabilities.tunnel_type_supported), suites=len(able.ipsec_capabilities.encryption_supported))

# Encrypted in tunnel mode and decrypted from two SAs; then made before broken.
key = bytes(range(36))
encrypt = pb.IpTunnelRequest(
    tunnel_id=20, operation=pb._CREATE, next_action=pb.FORWARD, match_criteria=pb.MatchCriteria(ingress_interface="2"),
    ipsec_tunnel=pb.IPSecTunnel(ipsec_enc=pb.IPSecEnc(
        tunnel_type=pb.TUNNEL, encryption_type=pb._AES256GCM128, ipsec_sa=pb.IPSecSAParams(spi=1000, encryption_key=key),
        ipv4_tunnel=pb.IPV4Pair(source_ip=s_addr("192.0.2.1"), destination_ip=s_addr("192.0.2.2")))))
decrypt = pb.IpTunnelRequest(
    tunnel_id=21, operation=pb._CREATE, match_criteria=pb.MatchCriteria(ipsec_match=pb.MatchCriteria.IPSecMatch()),
    ipsec_tunnel=pb.IPSecTunnel(ipsec_dec=pb.IPSecDec(tunnel_type=pb.TUNNEL, encryption_type=pb._AES128CCM64, ipsec_sas=[
        pb.IPSecSAParams(spi=2000, encryption_key=key[:16], operation=pb._CREATE),
        pb.IPSecSAParams(spi=2001, encryption_key=key[:19].hex().encode(), operation=pb._CREATE)])))
rekey = pb.IpTunnelRequest(tunnel_id=21, operation=pb._UPDATE, ipsec_tunnel=pb.IPSecTunnel(ipsec_dec=pb.IPSecDec(ipsec_sas=[
    pb.IPSecSAParams(spi=2002, encryption_key=key[1:17], operation=pb._CREATE), pb.IPSecSAParams(spi=2000, operation=pb._DELETE)])))
show("ipsec", **answer(create(iter([encrypt, decrypt, rekey]), timeout=5)))
encrypt.ipsec_tunnel.ipsec_enc.ipsec_sa.encryption_key = b""
encrypt.ipsec_tunnel.ipsec_enc.ipsec_sa.operation = pb._CREATE
show("encrypt read back", same=get(pb.TunnelId(tunnel_id=20), timeout=5).ip_tunnel == encrypt)
show("sas", sas=[[sa.tunnel_id, sa.spi, sa.encrypts, sa.encryption_type] for page in list_sas(pb.TunnelId(), timeout=5) for sa in page.sas])
