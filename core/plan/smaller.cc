#include "core/plan/smaller.h"

#include <algorithm>
#include <vector>

#include "core/base/str_cat.h"
#include "core/plan/device_memory.h"

namespace ft::plan {
namespace {

constexpr int kSmallestRank = 8;
constexpr int64_t kShortestLength = 128;

// A job that changes, with the settings that it is made smaller by.
class Shrinking {
 public:
  explicit Shrinking(const recipe::JobSpec& spec) : asked_(spec), spec_(spec) {}

  const recipe::JobSpec& spec() const { return spec_; }
  std::string Text() const {
    std::string text;
    for (const auto& [key, value] : changes_) StrAppend(&text, text.empty() ? "" : " and ", key, ": ", value);
    return text;
  }

  // One step of the kind that costs least and is still possible; false when nothing is left.
  bool Step() {
    recipe::TrainSpec& train = spec_.train;
    if (on_card() && ShortenRows()) return true;
    if (!train.activation_checkpointing) {
      train.activation_checkpointing = true;
      return Note("train.activation_checkpointing", "true");
    }
    if (train.checkpointed_blocks > 0) {
      train.checkpointed_blocks = 0;
      return Note("train.checkpointed_blocks", "0");
    }
    if (on_card() && (train.optimizer.kind == "adamw" || train.optimizer.kind == "paged_adamw")) {
      train.optimizer.kind = "adamw_8bit";
      return Note("train.optimizer.kind", "adamw_8bit");
    }
    // Stages change no bit. The first costs the least on the wire, the third saves the most; between them the second is the first, or
    // saves what the third does of gradients.
    if (spec_.parallel.ranks > 1 && spec_.parallel.zero < 3) {
      spec_.parallel.zero = spec_.parallel.zero == 0 ? 1 : 3;
      return Note("parallel.zero", StrCat(spec_.parallel.zero));
    }
    if (train.micro_batch > 1) {
      train.micro_batch /= 2;
      train.accumulation *= 2;
      return Note("train.micro_batch", StrCat(train.micro_batch));
    }
    if (ReorderSums() || RestState()) return true;
    if (spec_.method.kind == "lora") {
      spec_.method.kind = "qlora";
      return Note("method.kind", "qlora");
    }
    if (spec_.method.kind != "full" && spec_.method.rank > kSmallestRank) {
      spec_.method.rank = std::max(kSmallestRank, spec_.method.rank / 2);
      return Note("method.rank", StrCat(spec_.method.rank));
    }
    return RestWeights() || Shorten();
  }

 private:
  bool on_card() const { return spec_.resources.device == "gpu"; }

  // Where something rests that is not in use: beside a card its host's memory, beside a CPU's memory disk.
  const char* tier() const { return on_card() ? "cpu" : "disk"; }

  // With the other order no rank holds a whole gradient.
  bool ReorderSums() {
    recipe::ParallelSpec& parallel = spec_.parallel;
    if (parallel.ranks == 1 || spec_.method.kind != "full" || parallel.exchange != "step") return false;
    parallel.exchange = "micro_batch";
    return Note("parallel.exchange", "micro_batch");
  }

  // An update waits for the state once a step. Adapters' is too small to matter.
  bool RestState() {
    std::string& rests = spec_.parallel.offload.optimizer;
    if (spec_.method.kind != "full" || spec_.train.optimizer.kind == "sgd" || rests != "none") return false;
    rests = tier();
    return Note("parallel.offload.optimizer", rests);
  }

  // Passes wait for every unit, twice a micro-batch; weights that are trained rest only where units are divided.
  bool RestWeights() {
    std::string& rests = spec_.parallel.offload.parameters;
    if (rests != "none") return false;
    rests = tier();
    if (spec_.method.kind == "full" && spec_.parallel.zero < 3) {
      spec_.parallel.zero = 3;
      Note("parallel.zero", "3");
    }
    return Note("parallel.offload.parameters", rests);
  }

  // Packed rows are as long as a sample at least.
  bool ShortenRows() {
    recipe::TrainSpec& train = spec_.train;
    if (!train.packing || train.packed_length <= train.max_length) return false;
    train.packed_length = std::max(train.max_length, train.packed_length / 2);
    return Note("train.packed_length", StrCat(train.packed_length));
  }

  // With packing a row's length decides, without the longest sample's.
  bool Shorten() {
    if (ShortenRows()) return true;
    recipe::TrainSpec& train = spec_.train;
    if (train.max_length / 2 >= kShortestLength) {
      train.max_length /= 2;
      train.packed_length = std::min(train.packed_length, train.max_length);
      return Note("train.max_length", StrCat(train.max_length));
    }
    if (spec_.method.kind != "full") return false;
    // It needs so much less that nothing of what did not suffice is needed for it alone.
    spec_ = asked_;
    changes_.clear();
    spec_.method.kind = "qlora";
    return Note("method.kind", "qlora");
  }

  bool Note(const std::string& key, std::string value) {
    const auto known = std::find_if(changes_.begin(), changes_.end(),
                                    [&](const auto& change) { return change.first == key; });
    if (known != changes_.end()) {
      known->second = std::move(value);
    } else {
      changes_.emplace_back(key, std::move(value));
    }
    return true;
  }

  const recipe::JobSpec asked_;
  recipe::JobSpec spec_;
  std::vector<std::pair<std::string, std::string>> changes_;
};

}  // namespace

MemoryPart LargestPart(const std::vector<MemoryPart>& parts) {
  return *std::max_element(parts.begin(), parts.end(), [](const MemoryPart& a, const MemoryPart& b) {
    return a.fixed != b.fixed ? a.fixed : a.bytes < b.bytes;
  });
}

int64_t FixedBytes(const std::vector<MemoryPart>& parts) {
  int64_t bytes = 0;
  for (const MemoryPart& part : parts) bytes += part.fixed ? part.bytes : 0;
  return bytes;
}

std::string SmallestChange(const ModelShape& shape, const recipe::JobSpec& spec, bool bf16, DataSize data,
                           int64_t bytes, const Card& card) {
  Shrinking shrinking(spec);
  const bool on_card = spec.resources.device == "gpu";
  while (shrinking.Step()) {
    const std::vector<MemoryPart> parts =
        on_card ? EstimateDeviceMemory(shape, shrinking.spec(), bf16, data, card)
                : EstimateMemory(shape, shrinking.spec(), bf16, data);
    if (TotalBytes(parts) <= bytes) return shrinking.Text();
  }
  return "";
}

}  // namespace ft::plan
