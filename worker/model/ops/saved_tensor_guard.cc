#include "worker/model/ops/saved_tensor_guard.h"

#include <ATen/SavedTensorHooks.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/saved_variable_hooks.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "core/base/check.h"

namespace ft::ops {
namespace {

// One watch a process, since autograd has one engine; `active` keeps the off state free of locks.
struct Watch {
  std::mutex mutex;  // Guards all below.
  std::vector<std::pair<c10::weak_intrusive_ptr<c10::StorageImpl>, std::string>> materialised;
  std::vector<std::string> violations;
  int64_t saved = 0;
};
std::atomic<Watch*> active{nullptr};

void CheckSaved(const torch::Tensor& tensor) {
  Watch* watch = active.load();
  if (watch == nullptr || !tensor.has_storage()) return;
  const std::lock_guard lock(watch->mutex);
  ++watch->saved;
  for (const auto& [storage, slot] : watch->materialised) {
    const auto alive = storage.lock();
    if (alive && alive.get() == tensor.storage().unsafeGetStorageImpl()) watch->violations.push_back(slot);
  }
}

class CheckingHooks final : public torch::autograd::SavedVariableHooks {
 public:
  void call_pack_hook(const at::Tensor& tensor) override {
    CheckSaved(tensor);
    tensor_ = tensor.detach();
  }
  at::Tensor call_unpack_hook() override { return tensor_; }

 private:
  at::Tensor tensor_;
};

// Autograd asks its engine for the hooks of every tensor it saves.
class WatchingEngine final : public torch::autograd::Engine {
 public:
  std::unique_ptr<torch::autograd::SavedVariableHooks> get_default_saved_variable_hooks() override {
    if (active.load() == nullptr) return nullptr;
    return std::make_unique<CheckingHooks>();
  }
};

torch::autograd::Engine& TheWatchingEngine() {
  // Never destroyed: engines must outlive all threads that ever ran a backward pass.
  static WatchingEngine* engine = new WatchingEngine();
  return *engine;
}

}  // namespace

SavedTensorGuard::SavedTensorGuard() {
  torch::autograd::set_default_engine_stub(&TheWatchingEngine);
  Watch* expected = nullptr;
  FT_CHECK(active.compare_exchange_strong(expected, new Watch())) << "two guards at a time";
}

SavedTensorGuard::~SavedTensorGuard() { delete active.exchange(nullptr); }

std::vector<std::string> SavedTensorGuard::violations() const {
  Watch* watch = active.load();
  const std::lock_guard lock(watch->mutex);
  return watch->violations;
}

int64_t SavedTensorGuard::saved() const {
  Watch* watch = active.load();
  const std::lock_guard lock(watch->mutex);
  return watch->saved;
}

void SavedTensorGuard::NoteMaterialised(const torch::Tensor& tensor, const std::string& slot) {
  Watch* watch = active.load();
  if (watch == nullptr) return;
  const std::lock_guard lock(watch->mutex);
  watch->materialised.emplace_back(tensor.storage().getWeakStorageImpl(), slot);
}

}  // namespace ft::ops
