// Capture files through libpcap: pcap and pcapng in, in micro- and nanoseconds; pcap in nanoseconds out. Ethernet only.
//
// A limit of libpcap's own: all interfaces of a pcapng file must have the same link type.
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdio_ext.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "addon.h"
#include "snap_length.h"

namespace sluice {

// The indices of the Float64Array that a reader keeps up to date: CaptureState of src/native.ts.
enum State {
  kNextSec,
  kNextNsec,
  kFirstSec,
  kFirstNsec,
  kLastSec,
  kLastNsec,
  kRecords,
  kOversize,
  kOversizeBytes,
  kEnded,
  kFailed,
  kStateCount
};

// Records looked at in one call: a filter that passes over millions of them must not hold up its thread.
constexpr int kBudget = 4096;
constexpr int64_t kSecond = 1000000000;

// The elements of a typed array, with the length that its user relies on checked.
template <typename T>
static T* Elements(const Napi::Value& value, napi_typedarray_type expected, size_t atLeast) {
  napi_typedarray_type type;
  size_t length;
  void* data;
  napi_status got = napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr);
  if (got != napi_ok || type != expected || length < atLeast) {
    throw Napi::TypeError::New(value.Env(), "pcap: a typed array of another kind, or too short");
  }
  return static_cast<T*>(data);
}

struct Time {
  int64_t sec;
  int64_t nsec;
  bool operator<(const Time& other) const { return sec != other.sec ? sec < other.sec : nsec < other.nsec; }
};

// A garbled record may say any number of nanoseconds, and libpcap hands the unsigned seconds of a pcap file over as signed.
static Time Normal(const struct timeval& ts) {
  int64_t sec = ts.tv_sec, nsec = ts.tv_usec % kSecond;
  if (sec < 0 && sec >= std::numeric_limits<int32_t>::min()) sec += int64_t{1} << 32;
  sec += ts.tv_usec / kSecond;
  if (nsec < 0) nsec += kSecond, sec--;
  return {sec, nsec};
}

// One record is always held back (libpcap's own buffer holds its bytes), so that the time of the next one is known.
class PcapReader : public Napi::ObjectWrap<PcapReader> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "PcapReader",
                       {InstanceMethod<&PcapReader::Read>("read"), InstanceMethod<&PcapReader::Rewind>("rewind"),
                        InstanceMethod<&PcapReader::ErrorText>("error"), InstanceMethod<&PcapReader::Close>("close")});
  }

  // (path: string, filter: string, maxFrame: number)
  explicit PcapReader(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PcapReader>(info) {
    path_ = info[0].As<Napi::String>().Utf8Value();
    std::string filter = info[1].As<Napi::String>().Utf8Value();
    maxFrame_ = info[2].As<Napi::Number>().Uint32Value();
    Open(info.Env());
    if (filter.empty()) return;
    if (pcap_compile(handle_.get(), &program_, filter.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
      throw Napi::Error::New(info.Env(), "filter \"" + filter + "\": " + pcap_geterr(handle_.get()));
    }
    filtered_ = true;
  }

  ~PcapReader() override {
    if (filtered_) pcap_freecode(&program_);
  }

 private:
  struct Closer {
    void operator()(pcap_t* handle) const { pcap_close(handle); }
  };

  void Open(Napi::Env env) {
    char text[PCAP_ERRBUF_SIZE] = "";
    handle_.reset();
    FILE* file = SnapLength::Open(path_.c_str());
    if (!file) throw SystemError(env, "open", errno);
    pcap_t* handle = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, text);
    if (!handle) {
      fclose(file);
      throw Napi::Error::New(env, text);
    }
    handle_.reset(handle);
    int link = pcap_datalink(handle);
    if (link != DLT_EN10MB) {
      const char* name = pcap_datalink_val_to_name(link);
      throw Napi::Error::New(env, "its link type is " + std::string(name ? name : "unknown") + " (" + std::to_string(link) +
                                      "), and only Ethernet (EN10MB) is read");
    }
    held_ = ended_ = false;
    records_ = 0;
    first_ = key_ = {0, 0};
  }

  // Holds the next record that the filter passes and that fits; false when there is none or the budget is used up.
  bool Hold(int& budget) {
    while (!held_ && !ended_ && budget-- > 0) {
      struct pcap_pkthdr* header;
      int got = pcap_next_ex(handle_.get(), &header, &data_);
      if (got != 1) {
        ended_ = true;
        if (got == PCAP_ERROR) error_ = pcap_geterr(handle_.get());
        break;
      }
      header_ = *header;
      stamp_ = Normal(header_.ts);
      if (records_++ == 0) first_ = key_ = stamp_;
      key_ = std::max(key_, stamp_);
      wire_ = std::min<uint32_t>(std::max(header_.len, header_.caplen), std::numeric_limits<int32_t>::max());
      if (filtered_ && pcap_offline_filter(&program_, &header_, data_) == 0) continue;
      if (wire_ > maxFrame_) {
        oversize_++;
        oversizeBytes_ += wire_;
        continue;
      }
      held_ = true;
    }
    return held_;
  }

  // read(state, limitSec, limitNsec, from, max, frames, offset, length, wire, sec, nsec, time): number
  // Copies up to `max` records that are not later than the limit into frames at offset[from], offset[from + 1], … and
  // returns how many. A record earlier than one before it counts as being of that one's time (the file's order wins):
  // `time` gets that, in milliseconds; `sec` and `nsec` what the record says.
  Napi::Value Read(const Napi::CallbackInfo& info) {
    double* state = Elements<double>(info[0], napi_float64_array, kStateCount);
    double limitSec = info[1].As<Napi::Number>().DoubleValue();
    int64_t limitNsec = info[2].As<Napi::Number>().Int64Value();
    uint32_t from = info[3].As<Napi::Number>().Uint32Value();
    uint32_t max = info[4].As<Napi::Number>().Uint32Value();
    uint32_t n = 0;
    int budget = kBudget;
    if (handle_ && max > 0) {
      size_t end = static_cast<size_t>(from) + max;
      Napi::TypedArray frames = info[5].As<Napi::TypedArray>();
      size_t room = frames.ByteLength();
      uint8_t* bytes = Elements<uint8_t>(frames, napi_uint8_array, 0);
      int32_t* offset = Elements<int32_t>(info[6], napi_int32_array, end);
      int32_t* length = Elements<int32_t>(info[7], napi_int32_array, end);
      int32_t* wire = Elements<int32_t>(info[8], napi_int32_array, end);
      double* sec = Elements<double>(info[9], napi_float64_array, end);
      int32_t* nsec = Elements<int32_t>(info[10], napi_int32_array, end);
      double* time = Elements<double>(info[11], napi_float64_array, end);
      for (uint32_t i = from; n < max && Hold(budget); i++, n++) {
        double at = static_cast<double>(key_.sec);
        if (at > limitSec || (at == limitSec && key_.nsec > limitNsec)) break;
        if (offset[i] < 0 || static_cast<size_t>(offset[i]) + header_.caplen > room) {
          throw Napi::RangeError::New(info.Env(), "pcap: a slot outside of the frame memory");
        }
        memcpy(bytes + offset[i], data_, header_.caplen);
        length[i] = static_cast<int32_t>(header_.caplen);
        wire[i] = static_cast<int32_t>(wire_);
        sec[i] = static_cast<double>(stamp_.sec);
        nsec[i] = static_cast<int32_t>(stamp_.nsec);
        time[i] = at * 1e3 + static_cast<double>(key_.nsec) / 1e6;
        held_ = false;
      }
    }
    if (handle_) Hold(budget);
    Publish(state);
    return Napi::Number::New(info.Env(), n);
  }

  // Without a held record (budget used up) the key of the last one read stands: the next one cannot be earlier.
  void Publish(double* state) const {
    bool none = ended_ || !handle_;
    state[kNextSec] = none ? std::numeric_limits<double>::infinity() : static_cast<double>(key_.sec);
    state[kNextNsec] = none ? 0 : static_cast<double>(key_.nsec);
    state[kFirstSec] = static_cast<double>(first_.sec);
    state[kFirstNsec] = static_cast<double>(first_.nsec);
    state[kLastSec] = static_cast<double>(key_.sec);
    state[kLastNsec] = static_cast<double>(key_.nsec);
    state[kRecords] = static_cast<double>(records_);
    state[kOversize] = oversize_;
    state[kOversizeBytes] = oversizeBytes_;
    state[kEnded] = none;
    state[kFailed] = !error_.empty();
  }

  // rewind(): the next read starts at the first record again. Reopens the path.
  void Rewind(const Napi::CallbackInfo& info) { Open(info.Env()); }

  // error(): string — why the file could not be read to its end, in libpcap's words; empty when it could.
  Napi::Value ErrorText(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), error_); }

  void Close(const Napi::CallbackInfo& info) {
    handle_.reset();
    held_ = false;
  }

  std::string path_, error_;
  std::unique_ptr<pcap_t, Closer> handle_;
  struct bpf_program program_ = {};
  bool filtered_ = false, held_ = false, ended_ = false;
  struct pcap_pkthdr header_ = {};
  const u_char* data_ = nullptr;
  uint32_t maxFrame_ = 0, wire_ = 0;
  Time stamp_ = {0, 0}, key_ = {0, 0}, first_ = {0, 0};
  int64_t records_ = 0;
  double oversize_ = 0, oversizeBytes_ = 0;
};

// Records are gathered in a buffer of our own and go out in whole batches, so that several threads may append to one
// file: O_APPEND makes each write(2) land behind the last.
class PcapWriter : public Napi::ObjectWrap<PcapWriter> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "PcapWriter", {InstanceMethod<&PcapWriter::Write>("write"), InstanceMethod<&PcapWriter::Flush>("flush"),
                                           InstanceMethod<&PcapWriter::Close>("close")});
  }

  // (path: string, append: boolean) — append: behind what is there; the file header is written only into an empty file.
  explicit PcapWriter(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PcapWriter>(info), buffer_(kBuffer) {
    Napi::Env env = info.Env();
    std::string path = info[0].As<Napi::String>().Utf8Value();
    bool append = info[1].As<Napi::Boolean>().Value();
    int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0666);
    if (fd < 0) throw SystemError(env, "open", errno);
    struct stat info_;
    bool begun = append && fstat(fd, &info_) == 0 && info_.st_size > 0;
    FILE* file = fdopen(fd, "w");
    if (!file) {
      close(fd);
      throw SystemError(env, "fdopen", errno);
    }
    setvbuf(file, buffer_.data(), _IOFBF, buffer_.size());
    pcap_t* dead = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, kSnapLength, PCAP_TSTAMP_PRECISION_NANO);
    dumper_ = dead ? pcap_dump_fopen(dead, file) : nullptr;
    if (dead) pcap_close(dead);
    if (!dumper_) {
      fclose(file);
      throw SystemError(env, "pcap_dump_fopen", ENOMEM);
    }
    if (begun) __fpurge(file);
  }

  ~PcapWriter() override {
    if (dumper_) pcap_dump_close(dumper_);
  }

 private:
  static constexpr int kSnapLength = 262144;
  static constexpr size_t kBuffer = 1 << 20, kRecordHeader = 16;

  // write(list, n, frames, offset, length, wire, sec, nsec) — the frames at positions list[0 … n-1], in this order.
  void Write(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!dumper_) throw SystemError(env, "write", EBADF);
    uint32_t n = info[1].As<Napi::Number>().Uint32Value();
    int32_t* list = Elements<int32_t>(info[0], napi_int32_array, n);
    Napi::TypedArray frames = info[2].As<Napi::TypedArray>();
    size_t room = frames.ByteLength();
    uint8_t* bytes = Elements<uint8_t>(frames, napi_uint8_array, 0);
    size_t positions = info[3].As<Napi::TypedArray>().ElementLength();
    int32_t* offset = Elements<int32_t>(info[3], napi_int32_array, 0);
    int32_t* length = Elements<int32_t>(info[4], napi_int32_array, positions);
    int32_t* wire = Elements<int32_t>(info[5], napi_int32_array, positions);
    double* sec = Elements<double>(info[6], napi_float64_array, positions);
    int32_t* nsec = Elements<int32_t>(info[7], napi_int32_array, positions);
    for (uint32_t k = 0; k < n; k++) {
      uint32_t i = static_cast<uint32_t>(list[k]);
      if (i >= positions || offset[i] < 0 || length[i] < 0 ||
          static_cast<size_t>(offset[i]) + static_cast<size_t>(length[i]) > room) {
        throw Napi::RangeError::New(env, "pcap: a frame outside of the frame memory");
      }
      struct pcap_pkthdr header;
      header.ts.tv_sec = static_cast<time_t>(sec[i]);
      header.ts.tv_usec = nsec[i];
      header.caplen = static_cast<bpf_u_int32>(length[i]);
      header.len = static_cast<bpf_u_int32>(std::max(wire[i], length[i]));
      size_t bytesOfRecord = kRecordHeader + header.caplen;
      if (gathered_ + bytesOfRecord > kBuffer) Out(env);
      gathered_ += bytesOfRecord;
      pcap_dump(reinterpret_cast<u_char*>(dumper_), &header, bytes + offset[i]);
    }
  }

  // flush(): what was written so far stands in the file.
  void Flush(const Napi::CallbackInfo& info) {
    if (dumper_) Out(info.Env());
  }

  // An error of the last bytes is thrown here; the file is closed in any case.
  void Close(const Napi::CallbackInfo& info) {
    if (!dumper_) return;
    errno = 0;
    int failed = pcap_dump_flush(dumper_) != 0 ? errno : 0;
    pcap_dump_close(dumper_);
    dumper_ = nullptr;
    if (failed) throw SystemError(info.Env(), "write", failed);
  }

  // After an error nothing more is written: the buffer's rest would follow a record that was cut.
  void Out(Napi::Env env) {
    gathered_ = 0;
    errno = 0;
    if (pcap_dump_flush(dumper_) == 0) return;
    int failed = errno ? errno : EIO;
    __fpurge(pcap_dump_file(dumper_));
    pcap_dump_close(dumper_);
    dumper_ = nullptr;
    throw SystemError(env, "write", failed);
  }

  std::vector<char> buffer_;
  size_t gathered_ = sizeof(struct pcap_file_header);
  pcap_dumper_t* dumper_ = nullptr;
};

void RegisterPcap(Napi::Env env, Napi::Object exports) {
  exports.Set("PcapReader", PcapReader::Define(env));
  exports.Set("PcapWriter", PcapWriter::Define(env));
}

}  // namespace sluice
