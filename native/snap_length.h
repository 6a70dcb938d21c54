// A capture file as libpcap reads it, but with every snap length raised to the largest.
//
// libpcap refuses a pcapng file whose interfaces differ in snap length (what Wireshark writes when it merges captures),
// and cuts a record that is longer than the snap length its file claims. Both go by fields that say nothing about the
// records, so these fields are changed on their way: the one of the pcap file header, and the one of each pcapng
// Interface Description Block. All else passes as it is, garbage included: judging it is libpcap's part.
// draft-ietf-opsawg-pcap section 4, draft-ietf-opsawg-pcapng sections 3.1, 4.1 and 4.2.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace sluice {

class SnapLength {
 public:
  // What fopen(path, "r") would return; null and errno when the file cannot be opened.
  static FILE* Open(const char* path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return nullptr;
    SnapLength* self = new SnapLength(fd);
    cookie_io_functions_t functions = {};
    functions.read = [](void* cookie, char* bytes, size_t size) { return static_cast<SnapLength*>(cookie)->Read(bytes, size); };
    functions.close = [](void* cookie) {
      delete static_cast<SnapLength*>(cookie);
      return 0;
    };
    FILE* file = fopencookie(self, "r", functions);
    if (!file) {
      delete self;
      return nullptr;
    }
    setvbuf(file, self->buffer_, _IOFBF, sizeof self->buffer_);
    return file;
  }

 private:
  // pcap_open_offline takes no larger one for Ethernet.
  static constexpr uint32_t kLargest = 262144;
  enum Magic : uint32_t {
    kMicro = 0xa1b2c3d4,
    kNano = 0xa1b23c4d,
    kModified = 0xa1b2cd34,
    kSection = 0x0a0d0d0a,
    kByteOrder = 0x1a2b3c4d,
    kInterface = 1,
  };
  // Bytes from the start of the file header (pcap) or block (pcapng).
  enum Offset { kType = 0, kLength = 4, kOrder = 8, kInterfaceSnap = 12, kFileSnap = 16, kHead = 20, kShortestBlock = 12 };

  explicit SnapLength(int fd) : fd_(fd) {}
  ~SnapLength() { close(fd_); }

  ssize_t Read(char* bytes, size_t size) {
    ssize_t got;
    do got = read(fd_, bytes, size);
    while (got < 0 && errno == EINTR);
    for (ssize_t i = 0; i < got && !done_;) {
      // Past the head of a block there is nothing to see.
      if (at_ >= kHead) {
        uint64_t skip = std::min<uint64_t>(end_ - at_, static_cast<uint64_t>(got - i));
        at_ += skip, i += static_cast<ssize_t>(skip);
      } else {
        bytes[i] = static_cast<char>(Byte(static_cast<uint8_t>(bytes[i])));
        i++;
      }
      if (at_ >= kShortestBlock && at_ == end_) at_ = 0;
    }
    return got;
  }

  // The next byte of a head; returns what libpcap shall see in its place.
  uint8_t Byte(uint8_t byte) {
    uint64_t at = at_++;
    head_[at] = byte;
    if (at == kType + 3 && first_ && !Recognize()) done_ = true;
    if (at == kOrder + 3 && !classic_) Block();
    uint64_t snap = classic_ ? kFileSnap : kInterfaceSnap;
    if (at < snap || at >= snap + 4 || (!classic_ && Word(kType) != kInterface)) return byte;
    if (classic_ && at == snap + 3) done_ = true;
    uint64_t place = at - snap;
    return static_cast<uint8_t>(kLargest >> (8 * (swapped_ ? 3 - place : place)));
  }

  // By the first word of the file.
  bool Recognize() {
    first_ = false;
    end_ = UINT64_MAX;
    for (bool swapped : {false, true}) {
      swapped_ = swapped;
      uint32_t magic = Word(kType);
      if (magic == kSection) return true;
      if (magic == kMicro || magic == kNano || magic == kModified) return classic_ = true;
    }
    return false;
  }

  // The first 12 bytes of a block are known: its byte order, when a section begins, and where it ends.
  void Block() {
    if (Word(kType) == kSection) {
      swapped_ = false;
      swapped_ = Word(kOrder) != kByteOrder;
    }
    end_ = Word(kLength);
    if (end_ < kShortestBlock) done_ = true;
  }

  uint32_t Word(int at) const {
    uint32_t word;
    memcpy(&word, head_ + at, 4);
    return swapped_ ? __builtin_bswap32(word) : word;
  }

  int fd_;
  // Bytes read of this block, and where it ends.
  uint64_t at_ = 0, end_ = UINT64_MAX;
  uint8_t head_[kHead] = {};
  bool first_ = true, classic_ = false, swapped_ = false;
  // Nothing is left to change, or it is no capture.
  bool done_ = false;
  char buffer_[65536];
};

}  // namespace sluice
