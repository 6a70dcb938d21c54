// Network interfaces as the kernel keeps them (rtnetlink, ioctl), and poll(2) for a thread that has nothing to do.
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "addon.h"

namespace sluice {

// A datagram socket for ioctl and netlink, closed when it goes out of scope.
class Socket {
 public:
  Socket(Napi::Env env, int family, int type, int protocol) : fd_(socket(family, type | SOCK_CLOEXEC, protocol)) {
    if (fd_ < 0) throw SystemError(env, "socket", errno);
  }
  ~Socket() { close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

static ifreq Request(Napi::Env env, const Napi::Value& name) {
  std::string text = name.As<Napi::String>().Utf8Value();
  if (text.empty() || text.size() >= IFNAMSIZ) throw SystemError(env, "interface name", ENODEV);
  ifreq request = {};
  memcpy(request.ifr_name, text.c_str(), text.size());
  return request;
}

// link(name): {ifindex, flags, type, mtu, operstate, master} | null — null: there is no such interface.
static Napi::Value Link(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string name = info[0].As<Napi::String>().Utf8Value();
  if (name.empty() || name.size() >= IFNAMSIZ) return env.Null();
  Socket netlink(env, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  struct {
    nlmsghdr header;
    ifinfomsg link;
    rtattr attribute;
    char name[IFNAMSIZ];
  } request = {};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.attribute.rta_type = IFLA_IFNAME;
  request.attribute.rta_len = RTA_LENGTH(IFNAMSIZ);
  memcpy(request.name, name.c_str(), name.size());
  alignas(nlmsghdr) char reply[32768];
  if (send(netlink.fd(), &request, sizeof request, 0) < 0) throw SystemError(env, "send(RTM_GETLINK)", errno);
  ssize_t got = recv(netlink.fd(), reply, sizeof reply, 0);
  auto* header = reinterpret_cast<nlmsghdr*>(reply);
  if (got < 0 || !NLMSG_OK(header, static_cast<size_t>(got))) throw SystemError(env, "recv(RTM_GETLINK)", got < 0 ? errno : EPROTO);
  if (header->nlmsg_type == NLMSG_ERROR) {
    int error = -static_cast<nlmsgerr*>(NLMSG_DATA(header))->error;
    if (error == ENODEV) return env.Null();
    throw SystemError(env, "RTM_GETLINK", error);
  }
  auto* link = static_cast<ifinfomsg*>(NLMSG_DATA(header));
  uint32_t mtu = 0, master = 0;
  uint8_t operstate = 0;
  int left = IFLA_PAYLOAD(header);
  for (rtattr* at = IFLA_RTA(link); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
    if (at->rta_type == IFLA_MTU) memcpy(&mtu, RTA_DATA(at), sizeof mtu);
    if (at->rta_type == IFLA_MASTER) memcpy(&master, RTA_DATA(at), sizeof master);
    if (at->rta_type == IFLA_OPERSTATE) memcpy(&operstate, RTA_DATA(at), sizeof operstate);
  }
  Napi::Object made = Napi::Object::New(env);
  made.Set("ifindex", Napi::Number::New(env, link->ifi_index));
  made.Set("flags", Napi::Number::New(env, link->ifi_flags));
  made.Set("type", Napi::Number::New(env, link->ifi_type));
  made.Set("mtu", Napi::Number::New(env, mtu));
  made.Set("operstate", Napi::Number::New(env, operstate));
  made.Set("master", Napi::Number::New(env, master));
  return made;
}

// linkIndex(name): number — the interface's index when it is up, its negative when it is down, 0 when there is none. Takes
// no lock in the kernel, unlike link(): for worker threads.
static Napi::Value LinkIndex(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  ifreq request = Request(env, info[0]);
  Socket socket(env, AF_INET, SOCK_DGRAM, 0);
  if (ioctl(socket.fd(), SIOCGIFINDEX, &request) != 0) return Napi::Number::New(env, 0);
  int ifindex = request.ifr_ifindex;
  if (ioctl(socket.fd(), SIOCGIFFLAGS, &request) != 0) return Napi::Number::New(env, 0);
  return Napi::Number::New(env, (request.ifr_flags & IFF_UP) != 0 ? ifindex : -ifindex);
}

// probePacket(): void — opens a packet socket and closes it: throws EPERM without CAP_NET_RAW.
static void ProbePacket(const Napi::CallbackInfo& info) { Socket(info.Env(), AF_PACKET, SOCK_RAW, 0); }

// links(): string[] — the names of all interfaces.
static Napi::Value Links(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  struct if_nameindex* all = if_nameindex();
  if (all == nullptr) throw SystemError(env, "if_nameindex", errno);
  Napi::Array names = Napi::Array::New(env);
  for (auto* one = all; one->if_index != 0; one++) names.Set(names.Length(), Napi::String::New(env, one->if_name));
  if_freenameindex(all);
  return names;
}

// hasIpv4(name): boolean — whether an IPv4 address stands on the interface, be it up or down, under any label of it.
static Napi::Value HasIpv4(const Napi::CallbackInfo& info) {
  std::string name = info[0].As<Napi::String>().Utf8Value();
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) throw SystemError(info.Env(), "getifaddrs", errno);
  bool found = false;
  for (ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    std::string label = one->ifa_name;
    bool ours = label == name || label.rfind(name + ":", 0) == 0;
    if (ours && one->ifa_addr != nullptr && one->ifa_addr->sa_family == AF_INET) found = true;
  }
  freeifaddrs(all);
  return Napi::Boolean::New(info.Env(), found);
}

// linkFlags(name, set, clear): void — changes IFF_ flags.
static void LinkFlags(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  ifreq request = Request(env, info[0]);
  Socket socket(env, AF_INET, SOCK_DGRAM, 0);
  if (ioctl(socket.fd(), SIOCGIFFLAGS, &request) != 0) throw SystemError(env, "ioctl(SIOCGIFFLAGS)", errno);
  request.ifr_flags |= info[1].As<Napi::Number>().Int32Value();
  request.ifr_flags &= ~info[2].As<Napi::Number>().Int32Value();
  if (ioctl(socket.fd(), SIOCSIFFLAGS, &request) != 0) throw SystemError(env, "ioctl(SIOCSIFFLAGS)", errno);
}

// ethtool(name, command, value): number — one of the ethtool commands that take or give a single word.
static Napi::Value Ethtool(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  ifreq request = Request(env, info[0]);
  ethtool_value value = {info[1].As<Napi::Number>().Uint32Value(), info[2].As<Napi::Number>().Uint32Value()};
  request.ifr_data = reinterpret_cast<char*>(&value);
  Socket socket(env, AF_INET, SOCK_DGRAM, 0);
  if (ioctl(socket.fd(), SIOCETHTOOL, &request) != 0) throw SystemError(env, "ioctl(SIOCETHTOOL)", errno);
  return Napi::Number::New(env, value.data);
}

// addIpv6(ifindex, address: Uint8Array of 16, prefix): void
static void AddIpv6(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array address = info[1].As<Napi::Uint8Array>();
  in6_ifreq request = {};
  if (address.ByteLength() != sizeof request.ifr6_addr) throw Napi::RangeError::New(env, "addIpv6: not 16 bytes");
  memcpy(&request.ifr6_addr, address.Data(), sizeof request.ifr6_addr);
  request.ifr6_prefixlen = info[2].As<Napi::Number>().Uint32Value();
  request.ifr6_ifindex = info[0].As<Napi::Number>().Int32Value();
  Socket socket(env, AF_INET6, SOCK_DGRAM, 0);
  if (ioctl(socket.fd(), SIOCSIFADDR, &request) != 0) throw SystemError(env, "ioctl(SIOCSIFADDR)", errno);
}

// poll(fds: Int32Array, n, timeoutMs): number — how many of the first n are readable or in error; negative fds are passed
// over. A socket's pending error (its interface went down) is taken from it, or the next call would return at once again.
static Napi::Value Poll(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Int32Array fds = info[0].As<Napi::Int32Array>();
  pollfd polled[256];
  size_t n = info[1].As<Napi::Number>().Uint32Value();
  if (n > fds.ElementLength() || n > 256) throw Napi::RangeError::New(env, "poll: more descriptors than there are, or than 256");
  for (size_t i = 0; i < n; i++) polled[i] = {fds[i], POLLIN, 0};
  int ready = poll(polled, n, info[2].As<Napi::Number>().Int32Value());
  if (ready < 0 && errno != EINTR) throw SystemError(env, "poll", errno);
  for (size_t i = 0; ready > 0 && i < n; i++) {
    int error = 0;
    socklen_t bytes = sizeof error;
    if ((polled[i].revents & POLLERR) != 0) getsockopt(polled[i].fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
  }
  return Napi::Number::New(env, ready < 0 ? 0 : ready);
}

void RegisterLink(Napi::Env env, Napi::Object exports) {
  exports.Set("link", Napi::Function::New(env, Link, "link"));
  exports.Set("linkIndex", Napi::Function::New(env, LinkIndex, "linkIndex"));
  exports.Set("probePacket", Napi::Function::New(env, ProbePacket, "probePacket"));
  exports.Set("links", Napi::Function::New(env, Links, "links"));
  exports.Set("hasIpv4", Napi::Function::New(env, HasIpv4, "hasIpv4"));
  exports.Set("linkFlags", Napi::Function::New(env, LinkFlags, "linkFlags"));
  exports.Set("ethtool", Napi::Function::New(env, Ethtool, "ethtool"));
  exports.Set("addIpv6", Napi::Function::New(env, AddIpv6, "addIpv6"));
  exports.Set("poll", Napi::Function::New(env, Poll, "poll"));
}

}  // namespace sluice
