// Simulated devices: memory (memory.h) and streams. A stream is a queue of work, on no thread: work runs on the thread of whoever has
// a right to its result (Synchronize, an event, a stream that waits for it), and under Schedule::kLazy no sooner. Work of one device
// runs one piece at a time. What goes wrong in work is the device's fault from then on: it does no more, and says so to every call.
//
// All threads; devices share no lock.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

#include "tests/simdevice/runtime/faults.h"
#include "tests/simdevice/runtime/memory.h"
#include "tests/simdevice/runtime/settings.h"

namespace ft::simdevice {

class Device;
class Stream;

// A moment of a stream: when it has done so many pieces of work. Before it is recorded, an event has happened.
struct Event {
  Stream* stream = nullptr;
  uint64_t ticket = 0;
};

// Lives as long as the process.
class Stream {
 public:
  Device& device() const { return device_; }
  int id() const { return id_; }  // 0 is the device's default stream.

 private:
  friend class Device;
  struct Operation {
    std::function<void()> work;
    Event wait;                      // Or waits for this.
    std::function<bool()> progress;  // Or does a part each time, until it answers true.
    bool inner = false;              // The simulation's own: runs whatever has gone wrong.
    Error error = kNone;             // Goes wrong so, instead.
  };
  Stream(Device& device, int id) : device_(device), id_(id) {}

  Device& device_;
  const int id_;
  // Guarded by the device's mutex.
  std::deque<Operation> operations_;
  uint64_t added_ = 0, done_ = 0;
  bool running_ = false;
  std::thread::id runner_;
  uint64_t flushes_ = 0;
};

struct WorkStats {
  uint64_t operations = 0;  // Given to streams: kernels, copies, LibTorch's operations.
  uint64_t flushes = 0;     // Times that the host waited for a stream or for the device.
};

class Device {
 public:
  static int Count();
  static Device& At(int index);
  // The one whose address it is; null for the host's.
  static Device* Of(const void* address);

  // For tests; of all devices. What was given before runs first.
  static void SetSchedule(Schedule schedule, uint64_t seed = 0);
  static Schedule schedule();
  // For tests; what goes wrong from now on, counted from here.
  void SetFaultPlan(FaultPlan plan);

  int index() const { return index_; }

  // Memory, in the order of a stream: `block` is given out again when the stream it was made on, and those it was recorded for, have
  // done what they had been given when it was freed. Allocate answers null when there is no room even after all that was given has run.
  void* Allocate(size_t bytes, Stream& stream);
  void Free(void* block);
  void RecordUse(void* block, Stream& stream);
  bool Contains(const void* address) const { return memory_.Contains(address); }
  bool IsLive(const void* address) const;
  std::byte* Host(const void* address) const { return memory_.Host(address); }

  MemoryStats memory_stats() const;
  void ResetPeak();
  void ResetAccumulated();
  size_t capacity() const;
  void set_capacity(size_t bytes);

  Stream& default_stream() { return *streams_[0]; }
  // From a pool of 32, in turn: as on CUDA, two who ask may get the same.
  Stream& PoolStream();
  // REQUIRES: the id of a stream that exists.
  Stream& stream(int id);

  // Gives work to a stream. Refused, with its error, once something has gone wrong.
  Error Launch(Stream& stream, std::function<void()> work);
  // The same for work that others have a hand in: `progress` does what it can and answers whether that was the last of it.
  Error LaunchExchange(Stream& stream, std::function<bool()> progress);
  Error Record(Event& event, Stream& stream);
  Error Wait(Stream& stream, const Event& event);
  // Whether it has happened; each question lets one piece of work run. The answer is true when something has gone wrong.
  static bool Query(const Event& event);
  bool Query(Stream& stream);

  // The host waits; what has gone wrong until then is the answer.
  Error Synchronize(Stream& stream);
  Error SynchronizeDevice();
  static Error Synchronize(const Event& event);

  Error fault() const;
  WorkStats work_stats() const;
  uint64_t flushes(const Stream& stream) const;

  explicit Device(int index);  // Use At().

 private:
  struct Use {
    Stream* owner = nullptr;
    std::vector<Stream*> others;
  };
  uint64_t Add(Stream& stream, Stream::Operation operation);  // REQUIRES: the mutex is held.
  void AddInner(Stream& stream, std::function<void()> work);
  void AfterAdding(Stream& stream, uint64_t ticket);
  enum class Patience { kWait, kOneLook };  // With exchanges: to their end, or as far as they come now.
  void RunUntil(Stream& stream, uint64_t ticket, Patience patience = Patience::kWait);
  bool Progress(const Stream::Operation& operation);
  Error Give(Stream& stream, Stream::Operation operation);
  void RunAll();
  void Run(Stream::Operation& operation);
  void SetFault(Error error);

  const int index_;
  mutable std::mutex mutex_;  // Guards all below but the bytes of memory_, and the queues of the streams.
  std::condition_variable done_;
  DeviceMemory memory_;
  std::unordered_map<void*, Use> uses_;
  std::vector<std::unique_ptr<Stream>> streams_;  // Made at once, never moved.
  size_t next_in_pool_ = 0;
  Error fault_ = kNone;
  FaultPlan plan_;
  uint64_t planned_allocations_ = 0, planned_operations_ = 0;  // Since the plan was made.
  WorkStats work_stats_;
  std::mt19937_64 random_;
  std::mutex work_mutex_;  // Held while a piece of work runs; taken before mutex_.
};

}  // namespace ft::simdevice
