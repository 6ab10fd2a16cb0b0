#include "worker/data/tokenizer/unigram.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <span>
#include <utility>

#include "core/base/check.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::tokenizer {
namespace {

// A node that no token ends at yet.
constexpr uint32_t kNoPath = UINT32_MAX;
// How much worse an unknown character is than the worst token (both libraries' kUnkPenalty).
constexpr double kUnknownPenalty = 10;
// A user-defined piece gains as many of the best pieces' scores as it has bytes, of at least this, less this.
constexpr double kUserDefinedScore = 0.1;

}  // namespace

std::unique_ptr<UnigramModel> UnigramModel::Make(Vocabulary vocabulary, std::vector<float> scores,
                                                 UnigramOptions options) {
  return Make(std::move(vocabulary), std::vector<double>(scores.begin(), scores.end()), std::move(options));
}

std::unique_ptr<UnigramModel> UnigramModel::Make(Vocabulary vocabulary, std::vector<double> scores,
                                                 UnigramOptions options) {
  return std::unique_ptr<UnigramModel>(
      new UnigramModel(std::move(vocabulary), std::move(scores), std::move(options)));
}

UnigramModel::UnigramModel(Vocabulary given, std::vector<double> scores, UnigramOptions options)
    : SubwordModel(std::move(given)), options_(std::move(options)), scores_(std::move(scores)) {
  FT_CHECK(scores_.size() == vocabulary().bytes.size());
  FT_CHECK(options_.unknown.unknown_id >= 0);
  is_user_defined_.resize(scores_.size(), 0);
  for (const int32_t id : options_.user_defined) is_user_defined_[static_cast<size_t>(id)] = 1;
  std::vector<std::pair<std::string_view, int32_t>> entries;
  double worst = DBL_MAX;
  best_score_ = static_cast<float>(kUserDefinedScore);
  for (size_t id = 0; id < scores_.size(); ++id) {
    if (!vocabulary().in_model[id]) continue;
    entries.emplace_back(vocabulary().bytes[id], static_cast<int32_t>(id));
    seams_.AddToken(vocabulary().bytes[id]);
    if (is_user_defined_[id]) continue;
    worst = std::min(worst, scores_[id]);
    best_score_ = std::max(best_score_, scores_[id]);
  }
  if (worst == DBL_MAX) worst = 0;  // There are no other pieces.
  unknown_score_ = worst - kUnknownPenalty;
  if (options_.single_precision) unknown_score_ = static_cast<float>(unknown_score_);
  double largest = 0;
  for (const double score : scores_) largest = std::max(largest, std::abs(score));
  word_bound_ = static_cast<double>(WordCache::kMaxWordBytes) * (largest + kUnknownPenalty);
  trie_ = ByteTrie(std::move(entries));
}

std::optional<int32_t> UnigramModel::Find(std::string_view bytes) const {
  const ByteTrie::Match match = trie_.Longest(bytes, 0);
  if (match.length == 0 || match.length != bytes.size()) return std::nullopt;
  return match.value;
}

double UnigramModel::Sum(double path, int32_t id, size_t length, bool rounds) const {
  const auto index = static_cast<size_t>(id);
  if (is_user_defined_[index])
    return static_cast<float>(static_cast<double>(length) * best_score_) - kUserDefinedScore + path;
  const double sum = path + scores_[index];
  return rounds ? static_cast<float>(sum) : sum;
}

// Lets every token that begins at `pos` end a path. Node i of the path is the place base + i.
void UnigramModel::Extend(const Segment& segment, size_t pos, bool rounds,
                          std::vector<PathNode>* path) const {
  const size_t from = pos - segment.base;
  const double here = (*path)[from].score;
  const size_t character = ReadKnownUtf8(segment.text, pos).length;
  bool spelled = false;  // The character alone is a token.
  const auto end_at = [&](size_t length, int32_t id, double sum) {
    PathNode& node = (*path)[from + length];
    const bool is_first = node.begin == kNoPath;
    if (!is_first && sum <= node.score) {
      node.margin = std::min(node.margin, static_cast<float>(node.score - sum));
      return;
    }
    const float margin = is_first ? WordCache::kSure : static_cast<float>(sum - node.score);
    node = {rounds ? static_cast<float>(sum) : sum, id, static_cast<uint32_t>(pos), margin};
  };
  trie_.ForEach(segment.text, pos, [&](int32_t id, size_t length) {
    spelled = spelled || length == character;
    end_at(length, id, Sum(here, id, length, rounds));
  });
  if (spelled) return;
  const double sum = here + unknown_score_;
  end_at(character, options_.unknown.unknown_id, rounds ? static_cast<float>(sum) : sum);
}

void UnigramModel::FindPath(const Segment& segment, double before, bool rounds,
                            std::vector<PathNode>* path) const {
  path->assign(segment.text.size() - segment.base + 1, {0, -1, kNoPath, WordCache::kSure});
  path->front() = {before, -1, 0, WordCache::kSure};
  for (size_t pos = segment.base; pos < segment.text.size(); pos += ReadKnownUtf8(segment.text, pos).length)
    Extend(segment, pos, rounds, path);
}

// Of the segment by itself, without rounding; 0 when it holds an unknown character.
float UnigramModel::MarginOf(const Segment& segment, std::vector<PathNode>* path) const {
  FindPath(segment, 0, /*rounds=*/false, path);
  float margin = WordCache::kSure;
  for (size_t end = path->size() - 1; end > 0; end = (*path)[end].begin - segment.base) {
    if ((*path)[end].id == options_.unknown.unknown_id) return 0;
    margin = std::min(margin, (*path)[end].margin);
  }
  return margin;
}

// Appends the tokens of the best path.
void UnigramModel::Backtrack(const Segment& segment, SubwordScratch* scratch,
                             std::vector<EncodedToken>* out) const {
  const std::vector<PathNode>& path = scratch->path;
  std::vector<SubwordScratch::Symbol>& tokens = scratch->symbols;
  tokens.clear();
  for (size_t end = path.size() - 1; end > 0; end = path[end].begin - segment.base) {
    tokens.push_back(
        {.id = path[end].id, .begin = path[end].begin, .end = static_cast<uint32_t>(segment.base + end)});
  }
  for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) {
    if (token->id != options_.unknown.unknown_id) {
      out->push_back({token->id, token->begin, token->end});
    } else {
      options_.unknown.Append(segment.text.substr(token->begin, token->end - token->begin), token->begin,
                              scratch->first, out);
    }
  }
}

// How far rounding may move two sums of a word of so many bytes apart: each token's is off by half a unit in its last place
// at most, and there are no more tokens than bytes. Twice that, to be safe.
float UnigramModel::RoundingOf(double before, size_t bytes) const {
  const double unit = options_.single_precision ? FLT_EPSILON : DBL_EPSILON;
  return static_cast<float>(2 * static_cast<double>(bytes) * unit * (std::abs(before) + word_bound_));
}

// `before`: the sum up to the segment. Returns it with the segment's tokens.
double UnigramModel::EncodeSegment(const Segment& segment, double before, SubwordScratch* scratch,
                                   std::vector<EncodedToken>* out) const {
  const std::string_view word = segment.text.substr(segment.base);
  const auto base = static_cast<uint32_t>(segment.base);
  const size_t first = out->size();
  const bool takes = WordCache::Takes(word);
  const WordCache::Key key(takes ? word : std::string_view());
  if (takes && scratch->cache.Find(key, base, out, RoundingOf(before, word.size()))) {
    double sum = before;
    for (size_t i = first; i < out->size(); ++i) {
      const EncodedToken& token = (*out)[i];
      sum = Sum(sum, token.id, token.end - token.begin, options_.single_precision);
      if (options_.single_precision) sum = static_cast<float>(sum);
    }
    return sum;
  }
  FindPath(segment, before, options_.single_precision, &scratch->path);
  const double sum = scratch->path.back().score;
  Backtrack(segment, scratch, out);
  if (takes && !scratch->cache.Holds(key)) {
    const float margin = MarginOf(segment, &scratch->path);
    // Here too rounding must not have decided.
    if (margin > RoundingOf(before, word.size()))
      scratch->cache.Keep(key, std::span(*out).subspan(first), base, margin);
  }
  return sum;
}

void UnigramModel::Encode(std::string_view text, SubwordScratch* scratch,
                          std::vector<EncodedToken>* out) const {
  scratch->first = out->size();
  // Every path goes through a seam: there the tokens are written, and the sum goes on, which keeps paths short.
  size_t base = 0;
  double sum = 0;
  char32_t before = 0;
  for (size_t pos = 0; pos < text.size();) {
    const KnownChar next = ReadKnownUtf8(text, pos);
    if (pos > base && seams_.IsSeam(before, next.code)) {
      sum = EncodeSegment({text.substr(0, pos), base}, sum, scratch, out);
      base = pos;
    }
    before = next.code;
    pos += next.length;
  }
  if (text.size() > base) EncodeSegment({text, base}, sum, scratch, out);
}

}  // namespace ft::tokenizer
