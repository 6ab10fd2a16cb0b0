#include "worker/train/trainer/digest.h"

#include <fstream>
#include <string>

#include "core/base/sha256.h"

namespace ft::train {
namespace {

constexpr size_t kShortDigits = 16;

std::string HexOf(const torch::Tensor& tensor) {
  return Hex(Sha256Of({static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()}));
}

}  // namespace

void BeginEntry(int64_t step, const std::vector<std::vector<data::OrderedSample>>& micro_batches,
                const params::ParameterStore& store, ledger::LedgerEntry& entry) {
  entry.step = step;
  std::string ids;
  for (const auto& micro_batch : micro_batches) {
    for (const data::OrderedSample& sample : micro_batch) StrAppend(&ids, sample.index, ",");
    StrAppend(&ids, ";");
  }
  entry.samples = Hex(Sha256Of(ids));
  Sha256 whole;
  for (int i = 0; i < store.size(); ++i) {
    const std::string digest = HexOf(store.gradient(i));
    whole.Update(digest);
    entry.tensors[store.name(i)].gradient = digest.substr(0, kShortDigits);
  }
  entry.gradient = Hex(whole.Finish());
}

void FinishEntry(const params::ParameterStore& store, ledger::LedgerEntry& entry) {
  Sha256 whole;
  for (int i = 0; i < store.size(); ++i) {
    const std::string digest = HexOf(store.value(i));
    whole.Update(digest);
    entry.tensors[store.name(i)].weights = digest.substr(0, kShortDigits);
  }
  entry.weights = Hex(whole.Finish());
}

int64_t PeakMemoryBytes() {
  std::ifstream status("/proc/self/status");
  std::string key;
  while (status >> key) {
    int64_t kilobytes = 0;
    if (key == "VmHWM:" && status >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

}  // namespace ft::train
