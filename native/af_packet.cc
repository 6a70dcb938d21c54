// PacketSocket: an AF_PACKET receive ring (TPACKET_V2) and a transmit socket on one interface, for one thread.
//
// V2 rather than V3: a V3 block is handed over when it is full or its timer of at least 1 ms ends, which adds 0.5 to 1 ms
// at 1,000 packets/s; V2 hands over each frame as it arrives. Transmission is sendmmsg straight from the frame memory.
//
// Frames are copied from the ring into the caller's slots; what is known about each goes into an Int32Array, eight words
// per frame (enum Meta; src/port/af-packet.ts names the same). A frame longer than a ring slot comes whole through the
// socket's queue. A merged frame (GSO), or one too long for the caller's slot, goes to the caller's stage and ends the call.
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "addon.h"

namespace sluice {

static const uint32_t kBlock = 1 << 17;
static const int kBurst = 64;
static const int kFanoutIgnoreOutgoing = 0x4000;  // PACKET_FANOUT_FLAG_IGNORE_OUTGOING, not in older headers

// struct virtio_net_hdr; <linux/virtio_net.h> has a field named `class` and is no C++.
struct OffloadHeader {
  uint8_t flags, gso_type;
  uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
static_assert(sizeof(OffloadHeader) == 10, "as the kernel writes it");
static const uint8_t kGsoNone = 0;

enum Meta { kLength, kWire, kStatus, kVlan, kOffload, kCsum, kStaged, kSpare, kMetaWords };

class PacketSocket : public Napi::ObjectWrap<PacketSocket> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "PacketSocket",
                       {InstanceAccessor<&PacketSocket::Fd>("fd"), InstanceMethod<&PacketSocket::Rx>("rx"),
                        InstanceMethod<&PacketSocket::Tx>("tx"), InstanceMethod<&PacketSocket::Drops>("drops"),
                        InstanceMethod<&PacketSocket::Close>("close")});
  }

  // new PacketSocket({ifindex, fanout, rxFrames, rxFrameSize, rxQueueBytes, frames, first, stride, room, stage, stageStart,
  // meta, plan}): see PacketSocketOptions in src/native.ts.
  explicit PacketSocket(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PacketSocket>(info) {
    Napi::Env env = info.Env();
    Napi::Object options = info[0].As<Napi::Object>();
    auto number = [&](const char* key) { return options.Get(key).As<Napi::Number>().Int64Value(); };
    Napi::Uint8Array frames = options.Get("frames").As<Napi::Uint8Array>();
    Napi::Uint8Array stage = options.Get("stage").As<Napi::Uint8Array>();
    Napi::Int32Array meta = options.Get("meta").As<Napi::Int32Array>();
    Napi::Int32Array plan = options.Get("plan").As<Napi::Int32Array>();
    first_ = number("first");
    stride_ = number("stride");
    room_ = number("room");
    if (meta.ElementLength() < kBurst * kMetaWords || plan.ElementLength() < 2 * kBurst + 1 ||
        first_ + (kBurst - 1) * stride_ + room_ > frames.ByteLength() ||
        static_cast<size_t>(number("stageStart")) >= stage.ByteLength()) {
      throw Napi::RangeError::New(env, "PacketSocket: a buffer is too small for a burst");
    }
    frames_ = frames.Data();
    framesBytes_ = frames.ByteLength();
    stage_ = stage.Data() + number("stageStart");
    stageRoom_ = stage.ByteLength() - number("stageStart");
    meta_ = meta.Data();
    plan_ = plan.Data();
    keep_ = Napi::Persistent(options);
    try {
      OpenRx(env, number("ifindex"), number("fanout"), number("rxFrames"), number("rxFrameSize"), number("rxQueueBytes"));
      OpenTx(env, number("ifindex"));
    } catch (...) {
      Release();
      throw;
    }
  }

  ~PacketSocket() { Release(); }

 private:
  Napi::Value Fd(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), rx_); }

  void Close(const Napi::CallbackInfo& info) { Release(); }

  // A mapping holds the socket open: both go.
  void Release() {
    if (ring_ != nullptr) munmap(ring_, ringBytes_);
    if (rx_ >= 0) close(rx_);
    if (tx_ >= 0) close(tx_);
    ring_ = nullptr;
    rx_ = tx_ = -1;
  }

  static void Set(Napi::Env env, int fd, int option, const void* value, socklen_t bytes, const char* what) {
    if (setsockopt(fd, SOL_PACKET, option, value, bytes) != 0) throw SystemError(env, what, errno);
  }

  // Nothing is received before bind() names a protocol, so the order of options does not race with traffic. A member of
  // a fanout group receives alone between bind() and PACKET_FANOUT: a filter refuses all of it meanwhile.
  void OpenRx(Napi::Env env, int ifindex, int fanout, uint32_t frames, uint32_t frameSize, int queueBytes) {
    rx_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (rx_ < 0) throw SystemError(env, "socket(AF_PACKET)", errno);
    const int one = 1;
    const int version = TPACKET_V2;
    Set(env, rx_, PACKET_VERSION, &version, sizeof version, "setsockopt(PACKET_VERSION)");
    Set(env, rx_, PACKET_VNET_HDR, &one, sizeof one, "setsockopt(PACKET_VNET_HDR)");
    Set(env, rx_, PACKET_AUXDATA, &one, sizeof one, "setsockopt(PACKET_AUXDATA)");
    Set(env, rx_, PACKET_IGNORE_OUTGOING, &one, sizeof one, "setsockopt(PACKET_IGNORE_OUTGOING)");
    Set(env, rx_, PACKET_COPY_THRESH, &one, sizeof one, "setsockopt(PACKET_COPY_THRESH)");
    if (setsockopt(rx_, SOL_SOCKET, SO_RCVBUFFORCE, &queueBytes, sizeof queueBytes) != 0 &&
        setsockopt(rx_, SOL_SOCKET, SO_RCVBUF, &queueBytes, sizeof queueBytes) != 0) {
      throw SystemError(env, "setsockopt(SO_RCVBUF)", errno);
    }

    frameSize_ = TPACKET_ALIGN(frameSize);
    uint32_t block = kBlock;
    while (block < frameSize_) block *= 2;
    perBlock_ = block / frameSize_;
    blocks_ = (frames + perBlock_ - 1) / perBlock_;
    block_ = block;
    tpacket_req request = {block, blocks_, frameSize_, blocks_ * perBlock_};
    Set(env, rx_, PACKET_RX_RING, &request, sizeof request, "setsockopt(PACKET_RX_RING)");
    ringBytes_ = static_cast<size_t>(block) * blocks_;
    void* mapped = mmap(nullptr, ringBytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, rx_, 0);
    if (mapped == MAP_FAILED) throw SystemError(env, "mmap", errno);
    ring_ = static_cast<uint8_t*>(mapped);

    sock_filter refuse[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    if (fanout >= 0) Filter(env, rx_, refuse, 1);
    Bind(env, rx_, ifindex, ETH_P_ALL);
    packet_mreq promiscuous = {};
    promiscuous.mr_ifindex = ifindex;
    promiscuous.mr_type = PACKET_MR_PROMISC;
    Set(env, rx_, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous, "setsockopt(PACKET_ADD_MEMBERSHIP)");
    if (fanout >= 0) {
      // Plain hash: it takes addresses and ports of both directions alike and leaves ports out for fragments. A group does
      // not heed the PACKET_IGNORE_OUTGOING of its members: it has a flag of its own, and where the kernel does not know that, a filter must do.
      int group = (fanout & 0xffff) | (PACKET_FANOUT_HASH | kFanoutIgnoreOutgoing) << 16;
      Set(env, rx_, PACKET_FANOUT, &group, sizeof group, "setsockopt(PACKET_FANOUT)");
      sock_filter incoming[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_PKTTYPE)),
                                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
                                BPF_STMT(BPF_RET | BPF_K, 0xffffffff)};
      Filter(env, rx_, incoming, 4);
    }
  }

  static void Filter(Napi::Env env, int fd, sock_filter* code, unsigned short length) {
    sock_fprog program = {length, code};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
      throw SystemError(env, "setsockopt(SO_ATTACH_FILTER)", errno);
    }
  }

  // A socket with protocol 0 receives nothing. What it may hold in flight is bounded by its send buffer.
  void OpenTx(Napi::Env env, int ifindex) {
    tx_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (tx_ < 0) throw SystemError(env, "socket(AF_PACKET)", errno);
    const int bytes = 1 << 21;
    if (setsockopt(tx_, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0) {
      setsockopt(tx_, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    }
    Bind(env, tx_, ifindex, 0);
    memset(messages_, 0, sizeof messages_);
    for (int i = 0; i < kBurst; i++) {
      messages_[i].msg_hdr.msg_iov = &vectors_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  static void Bind(Napi::Env env, int fd, int ifindex, int protocol) {
    sockaddr_ll address = {};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(protocol);
    address.sll_ifindex = ifindex;
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) throw SystemError(env, "bind", errno);
  }

  // rx(position, room): number — frames copied into the slots from `position` on, at the most `room`; meta record k is
  // that of slot position + k. Makes no system call unless a frame waits in the socket's queue.
  Napi::Value Rx(const Napi::CallbackInfo& info) {
    int position = info[0].As<Napi::Number>().Int32Value();
    int room = std::min(info[1].As<Napi::Number>().Int32Value(), kBurst - position);
    int n = 0;
    while (ring_ != nullptr && position >= 0 && n < room) {
      auto* header = reinterpret_cast<tpacket2_hdr*>(ring_ + static_cast<size_t>(inBlock_) * block_ +
                                                     static_cast<size_t>(inFrame_) * frameSize_);
      // Acquire: the frame is read after its status; release: it is given back after it was read.
      uint32_t status = __atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE);
      if ((status & TP_STATUS_USER) == 0) break;
      uint8_t* slot = frames_ + first_ + (position + n) * stride_;
      int32_t* meta = meta_ + n * kMetaWords;
      if ((status & TP_STATUS_COPY) == 0 || !Queued(meta, slot)) Ringed(header, status, meta, slot);
      __atomic_store_n(&header->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
      if (++inFrame_ == perBlock_) {
        inFrame_ = 0;
        if (++inBlock_ == blocks_) inBlock_ = 0;
      }
      n++;
      if (meta[kStaged] != 0) break;
    }
    return Napi::Number::New(info.Env(), n);
  }

  void Ringed(const tpacket2_hdr* header, uint32_t status, int32_t* meta, uint8_t* slot) {
    const uint8_t* data = reinterpret_cast<const uint8_t*>(header) + header->tp_mac;
    OffloadHeader offload;
    memcpy(&offload, data - sizeof offload, sizeof offload);
    bool staged = offload.gso_type != kGsoNone || header->tp_snaplen > room_;
    uint32_t length = std::min<uint32_t>(header->tp_snaplen, staged ? stageRoom_ : room_);
    memcpy(staged ? stage_ : slot, data, length);
    Describe(meta, length, header->tp_len, status, header->tp_vlan_tci, header->tp_vlan_tpid, offload, staged);
  }

  // The next frame of the socket's queue. With two processors delivering, it need not be the one whose ring slot says
  // COPY, so all that is known of it comes from recvmsg. False: there is none, and the ring has only the frame's start.
  bool Queued(int32_t* meta, uint8_t* slot) {
    OffloadHeader offload;
    iovec parts[2] = {{&offload, sizeof offload}, {stage_, stageRoom_}};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(tpacket_auxdata))];
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t got = recvmsg(rx_, &message, MSG_DONTWAIT | MSG_TRUNC);
    // The first call after the interface went down only reports that.
    if (got < 0 && errno != EAGAIN) got = recvmsg(rx_, &message, MSG_DONTWAIT | MSG_TRUNC);
    cmsghdr* found = got < 0 ? nullptr : CMSG_FIRSTHDR(&message);
    if (found == nullptr || found->cmsg_type != PACKET_AUXDATA || got < static_cast<ssize_t>(sizeof offload)) return false;
    tpacket_auxdata aux;
    memcpy(&aux, CMSG_DATA(found), sizeof aux);
    uint32_t wire = got - sizeof offload;  // MSG_TRUNC: all of it, however much was copied; tp_len is 0 here
    uint32_t length = std::min<uint32_t>(wire, stageRoom_);
    bool staged = offload.gso_type != kGsoNone || length > room_;
    if (!staged) memcpy(slot, stage_, length);
    Describe(meta, length, wire, aux.tp_status, aux.tp_vlan_tci, aux.tp_vlan_tpid, offload, staged);
    return true;
  }

  static void Describe(int32_t* meta, uint32_t length, uint32_t wire, uint32_t status, uint32_t tci, uint32_t tpid,
                       const OffloadHeader& offload, bool staged) {
    meta[kLength] = length;
    meta[kWire] = wire;
    meta[kStatus] = status;
    meta[kVlan] = tci | tpid << 16;
    meta[kOffload] = offload.flags | offload.gso_type << 8 | static_cast<uint32_t>(offload.gso_size) << 16;
    meta[kCsum] = offload.csum_start | static_cast<uint32_t>(offload.csum_offset) << 16;
    meta[kStaged] = staged;
  }

  // tx(n): number — sends the n frames of the plan (offset, length), in order; returns how many are done with. Among them,
  // those refused for their size have their length set to -1. plan[2 * 64] is the errno that stopped it, or 0.
  Napi::Value Tx(const Napi::CallbackInfo& info) {
    int n = std::min(info[0].As<Napi::Number>().Int32Value(), kBurst);
    for (int i = 0; i < n; i++) {
      uint32_t offset = plan_[2 * i];
      uint32_t length = plan_[2 * i + 1];
      if (offset > framesBytes_ || length > framesBytes_ - offset) {
        throw Napi::RangeError::New(info.Env(), "tx: a frame lies outside the frame memory");
      }
      vectors_[i].iov_base = frames_ + offset;
      vectors_[i].iov_len = length;
    }
    int done = 0;
    int stopped = tx_ < 0 ? ENXIO : 0;
    while (done < n && stopped == 0) {
      int sent = sendmmsg(tx_, messages_ + done, n - done, MSG_DONTWAIT);
      if (sent >= 0) {
        done += sent;
      } else if (errno == EMSGSIZE || errno == EINVAL) {
        plan_[2 * done + 1] = -1;
        done++;
      } else if (errno != EINTR) {
        stopped = errno;
      }
    }
    plan_[2 * kBurst] = stopped;
    return Napi::Number::New(info.Env(), done);
  }

  // drops(): number — frames that found the ring full since the last call.
  Napi::Value Drops(const Napi::CallbackInfo& info) {
    tpacket_stats stats = {};
    socklen_t bytes = sizeof stats;
    if (rx_ >= 0) getsockopt(rx_, SOL_PACKET, PACKET_STATISTICS, &stats, &bytes);
    return Napi::Number::New(info.Env(), stats.tp_drops);
  }

  int rx_ = -1;
  int tx_ = -1;
  uint8_t* ring_ = nullptr;
  size_t ringBytes_ = 0;
  uint32_t frameSize_ = 0, perBlock_ = 0, blocks_ = 0, block_ = 0;
  uint32_t inBlock_ = 0, inFrame_ = 0;
  uint8_t* frames_ = nullptr;
  size_t framesBytes_ = 0, first_ = 0, stride_ = 0, room_ = 0;
  uint8_t* stage_ = nullptr;
  size_t stageRoom_ = 0;
  int32_t* meta_ = nullptr;
  int32_t* plan_ = nullptr;
  Napi::ObjectReference keep_;
  mmsghdr messages_[kBurst];
  iovec vectors_[kBurst];
};

void RegisterAfPacket(Napi::Env env, Napi::Object exports) { exports.Set("PacketSocket", PacketSocket::Define(env)); }

}  // namespace sluice
