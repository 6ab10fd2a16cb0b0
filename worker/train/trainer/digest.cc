#include "worker/train/trainer/digest.h"

#include <string>

#include "core/base/sha256.h"
#include "worker/device/staging.h"

namespace ft::train {
namespace {

constexpr size_t kShortDigits = 16;

std::string HexOf(const torch::Tensor& tensor) {
  const torch::Tensor host = device::Download(tensor);
  return Hex(Sha256Of({static_cast<const char*>(host.const_data_ptr()), host.nbytes()}));
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

}  // namespace ft::train
