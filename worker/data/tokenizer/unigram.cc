#include "worker/data/tokenizer/unigram.h"

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <span>
#include <utility>

#include "core/base/check.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::tokenizer {
namespace {

// How many segments wait while their places in the cache come near.
constexpr size_t kAhead = 8;
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
  for (const int32_t id : options_.user_defined) {
    const auto index = static_cast<size_t>(id);
    const auto length = static_cast<double>(vocabulary().bytes[index].size());
    scores_[index] = static_cast<float>(length * best_score_) - kUserDefinedScore;
  }
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

// Lets every token that begins at `pos` end a path. Node i of the path is the place base + i. Returns the length of the
// character there.
inline size_t UnigramModel::Extend(const Segment& segment, size_t pos, PathNode* path) const {
  PathNode* const from = path + (pos - segment.base);
  const double here = from->score;
  const size_t character = ReadKnownUtf8(segment.text, pos).length;
  bool spelled = false;  // The character alone is a token.
  const auto end_at = [&](size_t length, int32_t id, double sum) {
    PathNode& node = from[length];
    const bool is_first = node.begin == kNoPath;
    if (!is_first && sum <= node.score) {
      node.margin = std::min(node.margin, static_cast<float>(node.score - sum));
      return;
    }
    const float margin = is_first ? WordCache::kSure : static_cast<float>(sum - node.score);
    node = {Round(sum), id, static_cast<uint32_t>(pos), margin};
  };
  trie_.ForEach(segment.text, pos, [&](int32_t id, size_t length) {
    spelled = spelled || length == character;
    end_at(length, id, Sum(here, id));
  });
  if (!spelled) end_at(character, options_.unknown.unknown_id, Round(here + unknown_score_));
  return character;
}

void UnigramModel::FindPath(const Segment& segment, double before, std::vector<PathNode>* path) const {
  path->assign(segment.text.size() - segment.base + 1, {0, -1, kNoPath, WordCache::kSure});
  path->front() = {before, -1, 0, WordCache::kSure};
  for (size_t pos = segment.base; pos < segment.text.size();) pos += Extend(segment, pos, path->data());
}

// Appends the tokens of the best path. Returns its margin, rounding included; 0 when it holds an unknown character.
float UnigramModel::Backtrack(const Segment& segment, SubwordScratch* scratch,
                              std::vector<EncodedToken>* out) const {
  const std::vector<PathNode>& path = scratch->path;
  std::vector<SubwordScratch::Symbol>& tokens = scratch->symbols;
  tokens.clear();
  float margin = WordCache::kSure;
  for (size_t end = path.size() - 1; end > 0; end = path[end].begin - segment.base) {
    tokens.push_back(
        {.id = path[end].id, .begin = path[end].begin, .end = static_cast<uint32_t>(segment.base + end)});
    margin = std::min(margin, path[end].margin);
  }
  for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) {
    if (token->id != options_.unknown.unknown_id) {
      out->push_back({token->id, token->begin, token->end});
    } else {
      margin = 0;
      options_.unknown.Append(segment.text.substr(token->begin, token->end - token->begin), token->begin,
                              scratch->first, out);
    }
  }
  return margin;
}

// How far rounding may move two sums of a word of so many bytes apart: each token's is off by half a unit in its last place
// at most, and there are no more tokens than bytes. Twice that, to be safe.
inline float UnigramModel::RoundingOf(double before, size_t bytes) const {
  const double unit = options_.single_precision ? FLT_EPSILON : DBL_EPSILON;
  return static_cast<float>(2 * static_cast<double>(bytes) * unit * (std::abs(before) + word_bound_));
}

// `before`: the sum up to the segment. Returns it with the segment's tokens.
double UnigramModel::EncodeSegment(const Segment& segment, double before, SubwordScratch* scratch,
                                   std::vector<EncodedToken>* out) const {
  const auto base = static_cast<uint32_t>(segment.base);
  const size_t first = out->size();
  const float rounding = RoundingOf(before, segment.word().size());
  if (segment.takes && scratch->cache.Find(segment.key, base, out, rounding)) {
    double sum = before;
    for (size_t i = first; i < out->size(); ++i) sum = Round(Sum(sum, (*out)[i].id));
    return sum;
  }
  FindPath(segment, before, &scratch->path);
  // What the margin is at least without rounding: at another place rounding must not decide either.
  const float margin = Backtrack(segment, scratch, out) - rounding;
  if (segment.takes && margin > rounding && !scratch->cache.Holds(segment.key))
    scratch->cache.Keep(segment.key, std::span(*out).subspan(first), base, margin);
  return scratch->path.back().score;
}

void UnigramModel::Encode(std::string_view text, SubwordScratch* scratch,
                          std::vector<EncodedToken>* out) const {
  scratch->first = out->size();
  // Every path goes through a seam: there the tokens are written, and the sum goes on, which keeps paths short. A segment waits
  // until some more are found, and its place in the cache comes near meanwhile.
  std::array<Segment, kAhead> waiting;
  size_t found = 0, done = 0;
  double sum = 0;
  const auto encode_next = [&] { sum = EncodeSegment(waiting[done++ % kAhead], sum, scratch, out); };
  const auto add = [&](size_t base, size_t end) {
    if (found - done == kAhead) encode_next();
    const Segment& segment = waiting[found++ % kAhead] = Segment(text, base, end);
    if (segment.takes) scratch->cache.Prefetch(segment.key);
  };
  size_t base = 0;
  char32_t before = 0;
  for (size_t pos = 0; pos < text.size();) {
    const KnownChar next = ReadKnownUtf8(text, pos);
    if (pos > base && seams_.IsSeam(before, next.code)) {
      add(base, pos);
      base = pos;
    }
    before = next.code;
    pos += next.length;
  }
  if (text.size() > base) add(base, text.size());
  while (done < found) encode_next();
}

}  // namespace ft::tokenizer
