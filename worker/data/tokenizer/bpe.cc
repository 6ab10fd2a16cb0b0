#include "worker/data/tokenizer/bpe.h"

#include <algorithm>

#include "core/base/check.h"

namespace ft::tokenizer {
namespace {

uint64_t PairKey(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

// Puts the lowest rank, and of equal ranks the leftmost pair, at the top of a heap.
bool ComesLater(const BpeScratch::Candidate& a, const BpeScratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
}

}  // namespace

void BpeVocabulary::Reserve(int32_t id) {
  const size_t needed = static_cast<size_t>(id) + 1;
  if (bytes.size() >= needed) return;
  bytes.resize(needed);
  in_model.resize(needed, 0);
}

BpeModel::BpeModel(BpeVocabulary vocabulary, const BpeOptions& options, bool by_rank)
    : vocabulary_(std::move(vocabulary)), options_(options), by_rank_(by_rank) {
  FT_CHECK(vocabulary_.bytes.size() == vocabulary_.in_model.size());
  byte_ids_.fill(-1);
  ids_.reserve(vocabulary_.bytes.size());
  for (size_t id = 0; id < vocabulary_.bytes.size(); ++id) {
    if (!vocabulary_.in_model[id]) continue;
    const std::string& bytes = vocabulary_.bytes[id];
    ids_.emplace(bytes, static_cast<int32_t>(id));
    longest_ = std::max(longest_, bytes.size());
    if (bytes.size() == 1) byte_ids_[static_cast<unsigned char>(bytes[0])] = static_cast<int32_t>(id);
  }
}

BpeModel BpeModel::FromMerges(BpeVocabulary vocabulary, const std::vector<Rule>& merges,
                              const BpeOptions& options) {
  BpeModel model(std::move(vocabulary), options, /*by_rank=*/false);
  model.merges_.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const Rule& rule = merges[rank];
    model.merges_.insert_or_assign(PairKey(rule.left, rule.right),
                                   Merge{static_cast<uint32_t>(rank), rule.merged});
  }
  return model;
}

BpeModel BpeModel::FromRanks(BpeVocabulary vocabulary) {
  BpeModel model(std::move(vocabulary), BpeOptions{.whole_words_first = true}, /*by_rank=*/true);
  for (const int32_t id : model.byte_ids_) FT_CHECK(id >= 0);
  return model;
}

std::string_view BpeModel::bytes(int32_t id) const {
  if (id < 0 || id >= size()) return {};
  return vocabulary_.bytes[static_cast<size_t>(id)];
}

std::optional<int32_t> BpeModel::Find(std::string_view bytes) const {
  const auto found = ids_.find(bytes);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

void BpeModel::SplitIntoBytes(std::string_view word, std::vector<BpeScratch::Symbol>* symbols) const {
  symbols->clear();
  for (uint32_t place = 0; place < word.size(); ++place) {
    int32_t id = byte_ids_[static_cast<unsigned char>(word[place])];
    if (id < 0) {
      if (options_.unknown_id < 0) continue;
      id = options_.unknown_id;
      if (options_.fuse_unknown && !symbols->empty() && symbols->back().id == id &&
          symbols->back().end == place) {
        symbols->back().end = place + 1;
        continue;
      }
    }
    const auto index = static_cast<int32_t>(symbols->size());
    symbols->push_back(
        {.id = id, .previous = index - 1, .next = index + 1, .begin = place, .end = place + 1});
  }
  if (!symbols->empty()) symbols->back().next = -1;
}

std::optional<BpeModel::Merge> BpeModel::FindMerge(const BpeScratch::Symbol& left,
                                                   const BpeScratch::Symbol& right,
                                                   std::string_view word) const {
  if (!by_rank_) {
    const auto found = merges_.find(PairKey(left.id, right.id));
    if (found == merges_.end()) return std::nullopt;
    return found->second;
  }
  const size_t size = right.end - left.begin;
  if (size > longest_) return std::nullopt;
  const auto found = ids_.find(word.substr(left.begin, size));
  if (found == ids_.end()) return std::nullopt;
  return Merge{static_cast<uint32_t>(found->second), found->second};
}

void BpeModel::PushCandidate(std::string_view word, int32_t left, BpeScratch* scratch) const {
  const BpeScratch::Symbol& first = scratch->symbols[static_cast<size_t>(left)];
  if (first.next < 0) return;
  const BpeScratch::Symbol& second = scratch->symbols[static_cast<size_t>(first.next)];
  const std::optional<Merge> merge = FindMerge(first, second, word);
  if (!merge) return;
  scratch->heap.push_back({.rank = merge->rank,
                           .left = left,
                           .right = first.next,
                           .left_id = first.id,
                           .right_id = second.id,
                           .merged_id = merge->merged_id});
  std::push_heap(scratch->heap.begin(), scratch->heap.end(), ComesLater);
}

void BpeModel::MergeAll(std::string_view word, BpeScratch* scratch) const {
  scratch->heap.clear();
  for (size_t i = 0; i + 1 < scratch->symbols.size(); ++i)
    PushCandidate(word, static_cast<int32_t>(i), scratch);
  while (!scratch->heap.empty()) {
    std::pop_heap(scratch->heap.begin(), scratch->heap.end(), ComesLater);
    const BpeScratch::Candidate best = scratch->heap.back();
    scratch->heap.pop_back();
    BpeScratch::Symbol& left = scratch->symbols[static_cast<size_t>(best.left)];
    BpeScratch::Symbol& right = scratch->symbols[static_cast<size_t>(best.right)];
    // An earlier merge took one of the two: this candidate is out of date. A symbol that was joined to its
    // left has id -1.
    if (left.id != best.left_id || right.id != best.right_id || left.next != best.right) continue;
    left.id = best.merged_id;
    left.end = right.end;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) scratch->symbols[static_cast<size_t>(left.next)].previous = best.left;
    if (left.previous >= 0) PushCandidate(word, left.previous, scratch);
    PushCandidate(word, best.left, scratch);
  }
}

void BpeModel::Encode(std::string_view word, BpeScratch* scratch, std::vector<EncodedToken>* out) const {
  if (options_.whole_words_first && word.size() <= longest_) {
    if (const auto found = ids_.find(word); found != ids_.end()) {
      out->push_back({found->second, 0, static_cast<uint32_t>(word.size())});
      return;
    }
  }
  SplitIntoBytes(word, &scratch->symbols);
  if (scratch->symbols.empty()) return;
  MergeAll(word, scratch);
  for (int32_t i = 0; i >= 0; i = scratch->symbols[static_cast<size_t>(i)].next) {
    const BpeScratch::Symbol& symbol = scratch->symbols[static_cast<size_t>(i)];
    out->push_back({symbol.id, symbol.begin, symbol.end});
  }
}

}  // namespace ft::tokenizer
