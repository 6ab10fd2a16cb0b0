#include "worker/data/prepare/collector.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/base/check.h"
#include "core/base/counted.h"
#include "worker/data/cache/batch_sampler.h"
#include "worker/data/prepare/xtuner_rows.h"

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
  if (facts.empty_output && !gate_.allow_empty_output) return true;
  return !xtuner_ && (facts.empty_input || facts.empty_tool_result);
}

bool Collector::RefusesFor(const SampleFacts& facts) {
  const auto refuse = [&](Kind kind) {
    Refuse(kind);
    return true;
  };
  // One violation a sample is listed, the one nearest to the cause.
  if (facts.empty_input && !xtuner_) return refuse(kEmptyInput);
  if (facts.empty_tool_result && !xtuner_) return refuse(kEmptyToolResult);
  if (facts.empty_output && !gate_.allow_empty_output) return refuse(kEmptyOutput);
  if (facts.doubled_bos && !xtuner_) return refuse(kDoubledBos);
  if (facts.unsupervised_stop && !xtuner_) return refuse(kUnsupervisedStop);
  return false;
}

void Collector::Count(int64_t tokens, int64_t supervised) {
  ++samples_;
  longest_ = std::max(longest_, tokens);
  tokens_ += tokens;
  supervised_ += supervised;
}

void Collector::Add(Sample sample, const SampleFacts& facts) {
  FT_CHECK(sample.ids.size() == sample.loss_mask.size())
      << sample.ids.size() << " ids, " << sample.loss_mask.size() << " marks";
  FT_CHECK(records_ > 0);
  ++added_;
  if (RefusesFor(facts)) return;
  const auto size = static_cast<int64_t>(sample.ids.size());
  const bool had_loss = data::SupervisedTokens({sample.ids, sample.loss_mask}) > 0;
  longest_uncut_ = std::max(longest_uncut_, size);
  if (size > max_length_) {
    ++truncated_;
    sample.ids.resize(static_cast<size_t>(max_length_));
    sample.loss_mask.resize(static_cast<size_t>(max_length_));
  }
  if (!xtuner_ && data::SupervisedTokens({sample.ids, sample.loss_mask}) == 0) {
    if (!gate_.allow_unsupervised) return Refuse(had_loss ? kCutUnsupervised : kUnsupervised);
    ++dropped_;
    return;
  }
  const int64_t index = spill_.samples();
  spill_.Add(sample.ids, sample.loss_mask);
  Count(spill_.length(index), spill_.supervised(index));
  if (shown_.size() < kSamplesShown) shown_.push_back({data::Describe(origin_), std::move(sample)});
  kept_.push_back({records_ - 1, sources_.size() - 1});
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
  RETURN_IF_ERROR(spill_.status());
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
  int64_t longer = 0;
  for (int64_t i = 0; i < spill_.samples(); ++i) longer += spill_.length(i) > tokens;
  return longer;
}

int64_t Collector::TimesOf(const Kept& kept, uint64_t seed) const {
  const Source& source = sources_[kept.source];
  const double whole = std::floor(source.habits.weight);
  const double share = source.habits.weight - whole;
  if (share == 0) return static_cast<int64_t>(whole);
  const bool last = kept.source + 1 == sources_.size();
  const int64_t records = (last ? records_ : sources_[kept.source + 1].first_record) - source.first_record;
  // A source that is named is never left out whole.
  const int64_t more =
      std::clamp<int64_t>(std::llround(share * static_cast<double>(records)), whole == 0 ? 1 : 0, records);
  // Apart from the permutations of epochs and of `choose: random`, which follow from the same seed.
  const int64_t stream = (int64_t{1} << 41) + static_cast<int64_t>(kept.source);
  const bool once_more = data::PermutedIndex(seed, stream, kept.record - source.first_record, records) < more;
  return static_cast<int64_t>(whole) + once_more;
}

StatusOr<int64_t> Collector::Drain(double share, uint64_t seed, data::TokenCacheWriter* writer) {
  const std::vector<bool> held = HeldOut(records_, share, seed);
  const bool rows = xtuner_ && xtuner_->packs;
  samples_ = tokens_ = supervised_ = longest_ = 0;
  int64_t held_samples = 0;
  std::vector<size_t> together;  // Of the source that is walked.
  for (size_t begin = 0, end = 0; begin < kept_.size(); begin = end) {
    const size_t source = kept_[begin].source;
    const SourceHabits& habits = sources_[source].habits;
    for (end = begin; end < kept_.size() && kept_[end].source == source;) ++end;
    for (int64_t pass = 0; pass < static_cast<int64_t>(std::ceil(habits.weight)); ++pass) {
      for (size_t i = begin; i < end; ++i) {
        const bool is_held = held[static_cast<size_t>(kept_[i].record)];
        if (is_held ? pass > 0 : TimesOf(kept_[i], seed) <= pass) continue;
        const auto index = static_cast<int64_t>(i);
        if (rows && !is_held && habits.packs) {
          if (!together.empty() && kept_[together.back()].source != source) {
            RETURN_IF_ERROR(DrainRows(together, seed, writer));
            together.clear();
          }
          together.push_back(i);
          continue;
        }
        if (is_held) {
          writer->AddHoldout(spill_, index);
          ++held_samples;
        } else {
          writer->AddTrain(spill_, index);
        }
        Count(spill_.length(index), spill_.supervised(index));
      }
    }
  }
  RETURN_IF_ERROR(DrainRows(together, seed, writer));
  RETURN_IF_ERROR(spill_.status());
  return held_samples;
}

Status Collector::DrainRows(const std::vector<size_t>& chosen, uint64_t seed,
                            data::TokenCacheWriter* writer) {
  if (chosen.empty()) return absl::OkStatus();
  XtunerRows rows(max_length_, [&](const Sample& row) {
    const int64_t index = spill_.samples();
    spill_.Add(row.ids, row.loss_mask);
    writer->AddTrain(spill_, index);
    Count(spill_.length(index), spill_.supervised(index));
  });
  // An order of its own for each source.
  const auto source = static_cast<int64_t>(kept_[chosen.front()].source);
  const auto size = static_cast<int64_t>(chosen.size());
  Sample sample;
  for (int64_t i = 0; i < size; ++i) {
    const int64_t at = xtuner_->shuffles ? data::PermutedIndex(seed, source, i, size) : i;
    const auto index = static_cast<int64_t>(chosen[static_cast<size_t>(at)]);
    RETURN_IF_ERROR(spill_.ReadIds(index, &sample.ids));
    RETURN_IF_ERROR(spill_.ReadLossMask(index, &sample.loss_mask));
    rows.Add(sample);
  }
  left_tokens_ += rows.Finish();
  return absl::OkStatus();
}

}  // namespace ft::prepare
