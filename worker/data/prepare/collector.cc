#include "worker/data/prepare/collector.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/base/check.h"
#include "core/base/counted.h"

namespace ft::prepare {
namespace {

constexpr size_t kPlacesListed = 10;
constexpr size_t kSamplesShown = 3;

// What is wrong with a sample, and what to do about all of its kind. Indexed by Collector::Kind.
struct Wording {
  std::string_view what;
  std::string_view advice;
};
constexpr std::array<Wording, 7> kWordings = {{
    {"the question is empty", "fill in the empty questions, or delete their records"},
    {"the result of a tool is empty", "write what the tool gave, for example null, or delete the records"},
    {"the answer or text is empty",
     "fill in the empty answers, or allow them with gate: {allow_empty_output: true}"},
    {"no token carries loss",
     "give every record an answer, or drop such records with gate: {allow_unsupervised: true}"},
    {"no token carries loss once the sample is cut to train.max_length, because the question alone fills it",
     "raise train.max_length, or drop such records with gate: {allow_unsupervised: true}"},
    {"the token that ends the answer carries no loss, so the model would not learn to stop",
     "choose a template whose answers end with their stop token"},
    {"the beginning-of-sequence token stands twice", "take the beginning-of-sequence text out of the data"},
}};

// A bijection that scatters neighbouring numbers (splitmix64's finaliser).
uint64_t Scatter(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// Which of `records` are held out: the k with the smallest hash, so that the choice depends on nothing but
// the seed and the record's number, and its size is exact.
std::vector<bool> HeldOut(int64_t records, double share, uint64_t seed) {
  std::vector<bool> held(static_cast<size_t>(records), false);
  if (share <= 0 || records < 2) return held;
  const auto wanted = static_cast<int64_t>(std::llround(share * static_cast<double>(records)));
  const int64_t count = std::clamp<int64_t>(wanted, 1, records - 1);
  std::vector<int64_t> order(held.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  const uint64_t key = Scatter(seed);
  const auto rank = [&](int64_t i) { return std::pair(Scatter(key ^ static_cast<uint64_t>(i)), i); };
  std::nth_element(order.begin(), order.begin() + count, order.end(),
                   [&](int64_t a, int64_t b) { return rank(a) < rank(b); });
  for (int64_t i = 0; i < count; ++i) held[static_cast<size_t>(order[static_cast<size_t>(i)])] = true;
  return held;
}

std::string Percent(int64_t part, int64_t whole) {
  return StrCat(
      static_cast<int64_t>(std::llround(100.0 * static_cast<double>(part) / static_cast<double>(whole))),
      "%");
}

}  // namespace

void Collector::BeginRecord(const data::Origin& origin) {
  origin_ = origin;
  ++records_;
}

void Collector::Refuse(Kind kind) {
  ++refused_[kind];
  if (places_.size() < kPlacesListed)
    places_.push_back(StrCat(data::Describe(origin_), ": ", kWordings[kind].what));
}

bool Collector::RefusesUnseen(const SampleFacts& facts) const {
  return facts.empty_input || facts.empty_tool_result || (facts.empty_output && !gate_.allow_empty_output);
}

void Collector::Add(Sample sample, const SampleFacts& facts) {
  FT_CHECK(sample.ids.size() == sample.loss_mask.size())
      << sample.ids.size() << " ids, " << sample.loss_mask.size() << " marks";
  FT_CHECK(records_ > 0);
  ++added_;
  // One violation a sample is listed, the one nearest to the cause.
  if (facts.empty_input) return Refuse(kEmptyInput);
  if (facts.empty_tool_result) return Refuse(kEmptyToolResult);
  if (facts.empty_output && !gate_.allow_empty_output) return Refuse(kEmptyOutput);
  if (facts.doubled_bos) return Refuse(kDoubledBos);
  if (facts.unsupervised_stop) return Refuse(kUnsupervisedStop);
  const auto size = static_cast<int64_t>(sample.ids.size());
  const bool had_loss = data::SupervisedTokens({sample.ids, sample.loss_mask}) > 0;
  longest_uncut_ = std::max(longest_uncut_, size);
  if (size > max_length_) {
    ++truncated_;
    sample.ids.resize(static_cast<size_t>(max_length_));
    sample.loss_mask.resize(static_cast<size_t>(max_length_));
  }
  const int64_t supervised = data::SupervisedTokens({sample.ids, sample.loss_mask});
  if (supervised == 0) {
    if (!gate_.allow_unsupervised) return Refuse(had_loss ? kCutUnsupervised : kUnsupervised);
    ++dropped_;
    return;
  }
  longest_ = std::max(longest_, static_cast<int64_t>(sample.ids.size()));
  tokens_ += static_cast<int64_t>(sample.ids.size());
  supervised_ += supervised;
  if (shown_.size() < kSamplesShown) shown_.push_back({data::Describe(origin_), sample});
  kept_.push_back({std::move(sample), records_ - 1});
}

Status Collector::TruncationVerdict() const {
  if (gate_.allow_truncation || added_ == 0) return absl::OkStatus();
  if (static_cast<double>(truncated_) <= gate_.max_truncated * static_cast<double>(added_))
    return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat(truncated_, " of ", Counted(added_, "sample"), " (", Percent(truncated_, added_),
             added_ == 1 ? ") is" : ") are", " longer than train.max_length ", max_length_,
             " and would be cut, more than gate.max_truncated ", gate_.max_truncated,
             " allows; the longest has ", Counted(longest_uncut_, "token"),
             "; raise train.max_length, or allow it with gate: {allow_truncation: true}"));
}

Status Collector::Verdict() const {
  static_assert(kWordings.size() == kKinds);
  const int64_t total = std::accumulate(refused_.begin(), refused_.end(), int64_t{0});
  const Status truncation = TruncationVerdict();
  if (total == 0) return truncation;
  std::string text =
      StrCat(total, " of ", added_, added_ == 1 ? " sample is refused:" : " samples are refused:");
  for (const std::string& place : places_) StrAppend(&text, "\n  ", place);
  if (total > static_cast<int64_t>(places_.size())) {
    StrAppend(&text, "\n  and ", total - static_cast<int64_t>(places_.size()), " more");
  }
  for (int kind = 0; kind < kKinds; ++kind) {
    if (refused_[kind] > 0) {
      StrAppend(&text, "\nTo do about ", refused_[kind], " (", kWordings[kind].what,
                "): ", kWordings[kind].advice);
    }
  }
  if (!truncation.ok()) StrAppend(&text, "\n", Message(truncation));
  return absl::InvalidArgumentError(text);
}

int64_t Collector::CountLonger(int64_t tokens) const {
  return std::count_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    return static_cast<int64_t>(kept.sample.ids.size()) > tokens;
  });
}

int64_t Collector::Drain(double share, uint64_t seed, data::TokenCacheWriter* writer) {
  const std::vector<bool> held = HeldOut(records_, share, seed);
  int64_t held_samples = 0;
  for (Kept& kept : kept_) {
    if (held[static_cast<size_t>(kept.record)]) {
      writer->AddHoldout(kept.sample.ids, kept.sample.loss_mask);
      ++held_samples;
    } else {
      writer->AddTrain(kept.sample.ids, kept.sample.loss_mask);
    }
    kept.sample = Sample();  // Given back as the writer grows.
  }
  kept_.clear();
  return held_samples;
}

}  // namespace ft::prepare
