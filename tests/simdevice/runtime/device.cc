#include "tests/simdevice/runtime/device.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>

#include "tests/simdevice/runtime/die.h"

namespace ft::simdevice {
namespace {

constexpr size_t kPool = 32;
constexpr auto kExchangeLook = std::chrono::microseconds(200);

std::atomic<Schedule>& TheSchedule() {
  static std::atomic<Schedule> schedule{EnvironmentSettings().schedule};
  return schedule;
}

std::atomic<uint64_t>& TheSeed() {
  static std::atomic<uint64_t> seed{EnvironmentSettings().seed};
  return seed;
}

std::vector<std::unique_ptr<Device>>& AllDevices() {
  static auto* devices = [] {  // Tensors may outlive static objects.
    auto* made = new std::vector<std::unique_ptr<Device>>;
    for (int i = 0; i < EnvironmentSettings().devices; ++i) made->push_back(std::make_unique<Device>(i));
    return made;
  }();
  return *devices;
}

}  // namespace

int Device::Count() { return static_cast<int>(AllDevices().size()); }

Device& Device::At(int index) {
  if (index < 0 || index >= Count()) Die("there is no device %d", index);
  return *AllDevices()[static_cast<size_t>(index)];
}

Device* Device::Of(const void* address) {
  for (const auto& device : AllDevices()) {
    if (device->Contains(address)) return device.get();
  }
  return nullptr;
}

void Device::SetSchedule(Schedule schedule, uint64_t seed) {
  for (const auto& device : AllDevices()) {
    device->RunAll();
    const std::lock_guard lock(device->mutex_);
    device->random_.seed(seed + static_cast<uint64_t>(device->index_));
  }
  TheSchedule() = schedule;
  TheSeed() = seed;
}

Schedule Device::schedule() { return TheSchedule(); }

void Device::SetFaultPlan(FaultPlan plan) {
  const std::lock_guard lock(mutex_);
  plan_ = plan;
  planned_allocations_ = planned_operations_ = 0;
}

Device::Device(int index)
    : index_(index),
      memory_(EnvironmentSettings().memory),
      plan_(EnvironmentSettings().fault),
      random_(TheSeed() + static_cast<uint64_t>(index)) {
  for (size_t id = 0; id <= kPool; ++id) streams_.emplace_back(new Stream(*this, static_cast<int>(id)));
}

void* Device::Allocate(size_t bytes, Stream& stream) {
  std::unique_lock lock(mutex_);
  void* block = nullptr;
  const bool refused = plan_.kind == FaultPlan::Kind::kOutOfMemory && ++planned_allocations_ == plan_.at;
  if (!refused) block = memory_.Allocate(bytes);
  if (block == nullptr && !refused) {
    lock.unlock();
    RunAll();
    lock.lock();
    block = memory_.Allocate(bytes);
  }
  memory_.CountAllocation(block != nullptr);
  if (block != nullptr) uses_[block] = {&stream, {}};
  return block;
}

void Device::Free(void* block) {
  std::vector<Stream*> users;
  {
    const std::lock_guard lock(mutex_);
    memory_.Free(block);
    const auto used = uses_.extract(block);
    users = used.mapped().others;
    users.push_back(used.mapped().owner);
  }
  // The last of the streams to get here releases the block. None of them waits for another: that would be an order that nobody asked for.
  const auto left = std::make_shared<std::atomic<size_t>>(users.size());
  for (Stream* user : users) {
    user->device_.AddInner(*user, [this, block, left] {
      if (left->fetch_sub(1) != 1) return;
      const std::lock_guard lock(mutex_);
      memory_.Release(block);
    });
  }
}

void Device::RecordUse(void* block, Stream& stream) {
  const std::lock_guard lock(mutex_);
  const auto found = uses_.find(block);
  if (found == uses_.end()) Die("memory is recorded for a stream that is not allocated");
  Use& use = found->second;
  if (&stream == use.owner) return;
  for (const Stream* other : use.others) {
    if (other == &stream) return;
  }
  use.others.push_back(&stream);
}

bool Device::IsLive(const void* address) const {
  const std::lock_guard lock(mutex_);
  return memory_.IsLive(address);
}

MemoryStats Device::memory_stats() const {
  const std::lock_guard lock(mutex_);
  return memory_.stats();
}

void Device::ResetPeak() {
  const std::lock_guard lock(mutex_);
  memory_.ResetPeak();
}

void Device::ResetAccumulated() {
  const std::lock_guard lock(mutex_);
  memory_.ResetAccumulated();
}

size_t Device::capacity() const {
  const std::lock_guard lock(mutex_);
  return memory_.capacity();
}

void Device::set_capacity(size_t bytes) {
  const std::lock_guard lock(mutex_);
  memory_.set_capacity(bytes);
}

Stream& Device::PoolStream() {
  const std::lock_guard lock(mutex_);
  return *streams_[1 + next_in_pool_++ % kPool];
}

Stream& Device::stream(int id) {
  if (id < 0 || static_cast<size_t>(id) >= streams_.size()) Die("there is no stream %d", id);
  return *streams_[static_cast<size_t>(id)];
}

uint64_t Device::Add(Stream& stream, Stream::Operation operation) {
  stream.operations_.push_back(std::move(operation));
  return ++stream.added_;
}

void Device::AddInner(Stream& stream, std::function<void()> work) {
  uint64_t ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    ticket = Add(stream, {std::move(work), {}, nullptr, /*inner=*/true});
  }
  AfterAdding(stream, ticket);
}

Error Device::Launch(Stream& stream, std::function<void()> work) {
  return Give(stream, {std::move(work), {}, nullptr});
}

Error Device::LaunchExchange(Stream& stream, std::function<bool()> progress) {
  return Give(stream, {nullptr, {}, std::move(progress)});
}

Error Device::Give(Stream& stream, Stream::Operation operation) {
  uint64_t ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    if (fault_ != kNone) return fault_;
    ++work_stats_.operations;
    const bool struck = ++planned_operations_ == plan_.at;
    if (struck && plan_.kind == FaultPlan::Kind::kLost) return fault_ = kLost;
    if (struck && plan_.kind == FaultPlan::Kind::kFails) operation.error = plan_.error;
    ticket = Add(stream, std::move(operation));
  }
  AfterAdding(stream, ticket);
  return kNone;
}

Error Device::Record(Event& event, Stream& stream) {
  const std::lock_guard lock(mutex_);
  if (fault_ != kNone) return fault_;
  event = {&stream, stream.added_};
  return kNone;
}

Error Device::Wait(Stream& stream, const Event& event) {
  if (event.stream == nullptr) return kNone;
  uint64_t ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    if (fault_ != kNone) return fault_;
    ticket = Add(stream, {nullptr, event, nullptr, /*inner=*/true});
  }
  AfterAdding(stream, ticket);
  return kNone;
}

void Device::AfterAdding(Stream& stream, uint64_t ticket) {
  const Schedule schedule = TheSchedule();
  if (schedule == Schedule::kEager) RunUntil(stream, ticket, Patience::kOneLook);
  if (schedule != Schedule::kSeeded) return;
  Stream* chosen = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (random_() % 2 == 0) return;
    std::vector<Stream*> behind;
    for (const auto& one : streams_) {
      if (one->done_ < one->added_) behind.push_back(one.get());
    }
    if (behind.empty()) return;
    chosen = behind[random_() % behind.size()];
    ticket = chosen->done_ + 1 + random_() % (chosen->added_ - chosen->done_);
  }
  RunUntil(*chosen, ticket, Patience::kOneLook);
}

void Device::RunUntil(Stream& stream, uint64_t ticket, Patience patience) {
  std::unique_lock lock(mutex_);
  while (stream.done_ < ticket) {
    if (stream.running_) {
      if (stream.runner_ == std::this_thread::get_id()) Die("work on a stream waits for its own stream");
      done_.wait(lock);
      continue;
    }
    stream.running_ = true;
    stream.runner_ = std::this_thread::get_id();
    {
      Stream::Operation operation = std::move(stream.operations_.front());
      stream.operations_.pop_front();
      lock.unlock();
      if (!Progress(operation)) {
        lock.lock();
        stream.operations_.push_front(std::move(operation));
        stream.running_ = false;
        done_.notify_all();
        if (patience == Patience::kOneLook) return;
        lock.unlock();
        std::this_thread::sleep_for(kExchangeLook);
        lock.lock();
        continue;
      }
      Run(operation);
    }  // What it held is gone before the next one runs.
    lock.lock();
    ++stream.done_;
    stream.running_ = false;
    done_.notify_all();
  }
}

bool Device::Progress(const Stream::Operation& operation) {
  if (!operation.progress || fault() != kNone || operation.error != kNone) return true;
  const std::lock_guard one_at_a_time(work_mutex_);
  return operation.progress();
}

void Device::RunAll() {
  for (const auto& stream : streams_) {
    uint64_t added = 0;
    {
      const std::lock_guard lock(mutex_);
      added = stream->added_;
    }
    RunUntil(*stream, added);
  }
}

void Device::Run(Stream::Operation& operation) {
  if (operation.wait.stream != nullptr)
    operation.wait.stream->device_.RunUntil(*operation.wait.stream, operation.wait.ticket);
  if (operation.inner) {
    if (operation.work) operation.work();
    return;
  }
  const std::lock_guard one_at_a_time(work_mutex_);
  if (fault() != kNone) return;
  if (operation.error != kNone) return SetFault(operation.error);
  if (!operation.work) return;  // An exchange, which has ended.
  try {
    operation.work();
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "simulated device: work failed: %s\n", failure.what());
    SetFault(kAssert);
  }
}

void Device::SetFault(Error error) {
  const std::lock_guard lock(mutex_);
  if (fault_ == kNone) fault_ = error;
}

bool Device::Query(const Event& event) {
  if (event.stream == nullptr) return true;
  Device& device = event.stream->device_;
  uint64_t next = 0;
  {
    const std::lock_guard lock(device.mutex_);
    if (event.stream->done_ >= event.ticket) return true;
    next = event.stream->done_ + 1;
  }
  device.RunUntil(*event.stream, next, Patience::kOneLook);
  return false;
}

bool Device::Query(Stream& stream) {
  Event now;
  {
    const std::lock_guard lock(mutex_);
    now = {&stream, stream.added_};
  }
  return Query(now);
}

Error Device::Synchronize(Stream& stream) {
  uint64_t added = 0;
  {
    const std::lock_guard lock(mutex_);
    ++work_stats_.flushes;
    ++stream.flushes_;
    added = stream.added_;
  }
  RunUntil(stream, added);
  return fault();
}

Error Device::SynchronizeDevice() {
  {
    const std::lock_guard lock(mutex_);
    ++work_stats_.flushes;
    for (const auto& stream : streams_) ++stream->flushes_;
  }
  RunAll();
  return fault();
}

Error Device::Synchronize(const Event& event) {
  if (event.stream == nullptr) return kNone;
  Device& device = event.stream->device_;
  {
    const std::lock_guard lock(device.mutex_);
    ++device.work_stats_.flushes;
    ++event.stream->flushes_;
  }
  device.RunUntil(*event.stream, event.ticket);
  return device.fault();
}

Error Device::fault() const {
  const std::lock_guard lock(mutex_);
  return fault_;
}

WorkStats Device::work_stats() const {
  const std::lock_guard lock(mutex_);
  return work_stats_;
}

uint64_t Device::flushes(const Stream& stream) const {
  const std::lock_guard lock(mutex_);
  return stream.flushes_;
}

}  // namespace ft::simdevice
