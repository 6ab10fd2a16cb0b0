#include "worker/data/tokenizer/bpe.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "core/base/check.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::tokenizer {
namespace {

// Instead of a token's id: what was joined to its left, and a character that is no token.
constexpr int32_t kJoined = -1;
constexpr int32_t kNoToken = -2;
// Of words this short the best pair is looked for anew each time, which beats a heap.
constexpr size_t kShortWord = 32;

uint64_t PairKey(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

// Puts the lowest rank, and of equal ranks the leftmost pair, at the top of a heap.
bool ComesLater(const SubwordScratch::Candidate& a, const SubwordScratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
}

// Equal scores get equal ranks.
std::vector<uint32_t> RanksOf(const std::vector<float>& scores) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  std::vector<uint32_t> ranks(scores.size());
  uint32_t rank = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && scores[order[i]] != scores[order[i - 1]]) ++rank;
    ranks[order[i]] = rank;
  }
  return ranks;
}

}  // namespace

BpeModel::BpeModel(Vocabulary given, BpeOptions options, bool by_pairs)
    : SubwordModel(std::move(given)), options_(std::move(options)), by_pairs_(by_pairs) {
  FT_CHECK(vocabulary().bytes.size() == vocabulary().in_model.size());
  byte_ids_.fill(-1);
  ids_.reserve(vocabulary().bytes.size());
  for (size_t id = 0; id < vocabulary().bytes.size(); ++id) {
    if (!vocabulary().in_model[id]) continue;
    const std::string& bytes = vocabulary().bytes[id];
    ids_.emplace(bytes, static_cast<int32_t>(id));
    longest_ = std::max(longest_, bytes.size());
    if (bytes.size() == 1) byte_ids_[static_cast<unsigned char>(bytes[0])] = static_cast<int32_t>(id);
  }
  if (options_.whole_texts) CutTexts();
}

void BpeModel::CutTexts() {
  for (const auto& [bytes, id] : ids_) seams_.AddToken(bytes);
  std::vector<std::pair<std::string_view, int32_t>> fixed;
  for (const int32_t id : options_.fixed) fixed.emplace_back(bytes(id), id);
  fixed_ = ByteTrie(std::move(fixed));
}

std::unique_ptr<BpeModel> BpeModel::FromMerges(Vocabulary vocabulary, const std::vector<Rule>& merges,
                                               BpeOptions options) {
  std::unique_ptr<BpeModel> model(new BpeModel(std::move(vocabulary), std::move(options), /*by_pairs=*/true));
  model->merges_.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const Rule& rule = merges[rank];
    model->merges_.insert_or_assign(PairKey(rule.left, rule.right),
                                    Merge{static_cast<uint32_t>(rank), rule.merged});
  }
  return model;
}

std::unique_ptr<BpeModel> BpeModel::FromRanks(Vocabulary vocabulary) {
  std::unique_ptr<BpeModel> model(
      new BpeModel(std::move(vocabulary), BpeOptions{.whole_words_first = true}, /*by_pairs=*/false));
  for (const int32_t id : model->byte_ids_) FT_CHECK(id >= 0);
  return model;
}

std::unique_ptr<BpeModel> BpeModel::FromScores(Vocabulary vocabulary, const std::vector<float>& scores,
                                               BpeOptions options) {
  FT_CHECK(scores.size() == vocabulary.bytes.size());
  std::unique_ptr<BpeModel> model(
      new BpeModel(std::move(vocabulary), std::move(options), /*by_pairs=*/false));
  model->ranks_ = RanksOf(scores);
  return model;
}

std::optional<int32_t> BpeModel::Find(std::string_view bytes) const {
  const auto found = ids_.find(bytes);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

void BpeModel::MakeSymbols(std::string_view word, std::vector<SubwordScratch::Symbol>* symbols) const {
  symbols->clear();
  // Pairs are looked for among what has an id; what has none and becomes none is no neighbour.
  const bool leaves_out = by_pairs_ && options_.unknown.unknown_id < 0 && !options_.unknown.byte_tokens;
  for (uint32_t place = 0; place < word.size();) {
    const auto length = options_.characters ? ReadKnownUtf8(word, place).length : 1;
    int32_t id = kNoToken;
    if (length == 1) {
      const int32_t known = byte_ids_[static_cast<unsigned char>(word[place])];
      if (known >= 0) id = known;
    } else if (const auto found = ids_.find(word.substr(place, length)); found != ids_.end()) {
      id = found->second;
    }
    const auto index = static_cast<int32_t>(symbols->size());
    if (id != kNoToken || !leaves_out)
      symbols->push_back(
          {.id = id, .previous = index - 1, .next = index + 1, .begin = place, .end = place + length});
    place += length;
  }
  if (!symbols->empty()) symbols->back().next = -1;
}

std::optional<BpeModel::Merge> BpeModel::FindMerge(const SubwordScratch::Symbol& left,
                                                   const SubwordScratch::Symbol& right,
                                                   std::string_view word) const {
  if (by_pairs_) {
    const auto found = merges_.find(PairKey(left.id, right.id));
    if (found == merges_.end()) return std::nullopt;
    return found->second;
  }
  const size_t size = right.end - left.begin;
  if (size > longest_) return std::nullopt;
  const auto found = ids_.find(word.substr(left.begin, size));
  if (found == ids_.end()) return std::nullopt;
  const auto id = static_cast<size_t>(found->second);
  return Merge{ranks_.empty() ? static_cast<uint32_t>(id) : ranks_[id], found->second};
}

void BpeModel::PushCandidate(std::string_view word, int32_t left, SubwordScratch* scratch) const {
  const SubwordScratch::Symbol& first = scratch->symbols[static_cast<size_t>(left)];
  if (first.next < 0) return;
  const SubwordScratch::Symbol& second = scratch->symbols[static_cast<size_t>(first.next)];
  const std::optional<Merge> merge = FindMerge(first, second, word);
  if (!merge) return;
  scratch->heap.push_back({.rank = merge->rank,
                           .left = left,
                           .right = first.next,
                           .left_id = first.id,
                           .right_id = second.id,
                           .merged_id = merge->merged_id});
  if (scratch->symbols.size() > kShortWord)
    std::push_heap(scratch->heap.begin(), scratch->heap.end(), ComesLater);
}

void BpeModel::MergeAll(std::string_view word, SubwordScratch* scratch) const {
  std::vector<SubwordScratch::Candidate>& heap = scratch->heap;
  const bool is_short = scratch->symbols.size() <= kShortWord;
  heap.clear();
  for (size_t i = 0; i + 1 < scratch->symbols.size(); ++i)
    PushCandidate(word, static_cast<int32_t>(i), scratch);
  while (!heap.empty()) {
    if (is_short) {
      std::iter_swap(std::min_element(heap.begin(), heap.end(),
                                      [](const auto& a, const auto& b) { return ComesLater(b, a); }),
                     heap.end() - 1);
    } else {
      std::pop_heap(heap.begin(), heap.end(), ComesLater);
    }
    const SubwordScratch::Candidate best = heap.back();
    heap.pop_back();
    SubwordScratch::Symbol& left = scratch->symbols[static_cast<size_t>(best.left)];
    SubwordScratch::Symbol& right = scratch->symbols[static_cast<size_t>(best.right)];
    // An earlier merge took one of the two: this candidate is out of date.
    if (left.id != best.left_id || right.id != best.right_id || left.next != best.right) continue;
    left.id = best.merged_id;
    left.end = right.end;
    left.next = right.next;
    right.id = kJoined;
    if (left.next >= 0) scratch->symbols[static_cast<size_t>(left.next)].previous = best.left;
    if (left.previous >= 0) PushCandidate(word, left.previous, scratch);
    PushCandidate(word, best.left, scratch);
  }
}

bool BpeModel::TakeWhole(std::string_view word, uint32_t base, std::vector<EncodedToken>* out) const {
  if (word.size() > longest_) return false;
  const auto found = ids_.find(word);
  if (found == ids_.end()) return false;
  out->push_back({found->second, base, base + static_cast<uint32_t>(word.size())});
  return true;
}

void BpeModel::EncodeWord(std::string_view word, uint32_t base, SubwordScratch* scratch,
                          std::vector<EncodedToken>* out) const {
  if (word.empty()) return;
  if (options_.whole_words_first && !options_.whole_texts && TakeWhole(word, base, out)) return;
  MakeSymbols(word, &scratch->symbols);
  if (scratch->symbols.empty()) return;
  MergeAll(word, scratch);
  for (int32_t i = 0; i >= 0; i = scratch->symbols[static_cast<size_t>(i)].next) {
    const SubwordScratch::Symbol& symbol = scratch->symbols[static_cast<size_t>(i)];
    if (symbol.id >= 0) {
      out->push_back({symbol.id, base + symbol.begin, base + symbol.end});
    } else {
      options_.unknown.Append(word.substr(symbol.begin, symbol.end - symbol.begin), base + symbol.begin,
                              scratch->first, out);
    }
  }
}

void BpeModel::EncodeCached(std::string_view word, uint32_t base, SubwordScratch* scratch,
                            std::vector<EncodedToken>* out) const {
  if (!WordCache::Takes(word)) return EncodeWord(word, base, scratch, out);
  const WordCache::Key key(word);
  if (scratch->cache.Find(key, base, out)) return;
  const size_t first = out->size();
  EncodeWord(word, base, scratch, out);
  // What begins with an unknown character depends on what stands before it.
  if (out->size() > first && (*out)[first].id != options_.unknown.unknown_id)
    scratch->cache.Keep(key, std::span(*out).subspan(first), base);
}

void BpeModel::EncodeText(std::string_view text, SubwordScratch* scratch,
                          std::vector<EncodedToken>* out) const {
  size_t begin = 0;
  const auto cut = [&](size_t end) {
    EncodeCached(text.substr(begin, end - begin), static_cast<uint32_t>(begin), scratch, out);
    begin = end;
  };
  char32_t before = 0;
  for (size_t pos = 0; pos < text.size();) {
    if (fixed_.MayBeginWith(text[pos])) {
      if (const ByteTrie::Match match = fixed_.Longest(text, pos); match.length > 0) {
        cut(pos);
        begin = pos + match.length;
        out->push_back({match.value, static_cast<uint32_t>(pos), static_cast<uint32_t>(begin)});
        pos = begin;
        continue;
      }
    }
    const KnownChar next = ReadKnownUtf8(text, pos);
    if (pos > begin && seams_.IsSeam(before, next.code)) cut(pos);
    before = next.code;
    pos += next.length;
  }
  cut(text.size());
}

void BpeModel::Encode(std::string_view text, SubwordScratch* scratch, std::vector<EncodedToken>* out) const {
  scratch->first = out->size();
  if (options_.whole_texts) {
    if (options_.whole_words_first && TakeWhole(text, 0, out)) return;
    return EncodeText(text, scratch, out);
  }
  EncodeCached(text, 0, scratch, out);
}

}  // namespace ft::tokenizer
