#include "worker/data/tokenizer/pre_tokenizer.h"

#include <algorithm>

namespace ft::tokenizer {
namespace {

struct Part {
  size_t begin, end;
  bool matched;
};

// The whole text as alternating parts, empty ones left out.
Status MatchParts(const SplitStep& step, std::string_view text, std::vector<Part>* parts) {
  std::vector<Regex::Match> matches;
  RETURN_IF_ERROR(step.regex.FindAll(text, &matches));
  size_t done = 0;
  for (const Regex::Match& match : matches) {
    if (match.begin > done) parts->push_back({done, match.begin, step.invert});
    parts->push_back({match.begin, match.end, !step.invert});
    done = match.end;
  }
  if (done < text.size()) parts->push_back({done, text.size(), step.invert});
  return absl::OkStatus();
}

// Joins each part to the one before it where `joins` says so.
template <typename Joins>
std::vector<Part> JoinNeighbours(const std::vector<Part>& parts, Joins joins) {
  std::vector<Part> joined;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0 && joins(parts[i - 1], parts[i])) {
      joined.back().end = parts[i].end;
    } else {
      joined.push_back(parts[i]);
    }
  }
  return joined;
}

// A match goes to its neighbour unless that is a match too: of a row of matches only the outermost one moves.
std::vector<Part> Apply(SplitBehavior behavior, std::vector<Part> parts) {
  switch (behavior) {
    case SplitBehavior::kIsolated: return parts;
    case SplitBehavior::kRemoved:
      std::erase_if(parts, [](const Part& part) { return part.matched; });
      return parts;
    case SplitBehavior::kContiguous:
      return JoinNeighbours(parts, [](const Part& a, const Part& b) { return a.matched == b.matched; });
    case SplitBehavior::kMergedWithPrevious:
      return JoinNeighbours(parts, [](const Part& a, const Part& b) { return b.matched && !a.matched; });
    case SplitBehavior::kMergedWithNext:
      return JoinNeighbours(parts, [](const Part& a, const Part& b) { return a.matched && !b.matched; });
  }
  return parts;
}

}  // namespace

Status PreTokenizer::AddPattern(std::string_view pattern) {
  ASSIGN_OR_RETURN(Regex regex, Regex::Compile(pattern));
  steps_.push_back({.regex = std::move(regex)});
  return absl::OkStatus();
}

Status PreTokenizer::Split(std::string_view piece, std::vector<std::string_view>* words) const {
  std::vector<std::string_view> current = {piece};
  std::vector<std::string_view> next;
  for (const SplitStep& step : steps_) {
    next.clear();
    for (const std::string_view word : current) {
      std::vector<Part> parts;
      RETURN_IF_ERROR(MatchParts(step, word, &parts));
      for (const Part& part : Apply(step.behavior, std::move(parts))) {
        next.push_back(word.substr(part.begin, part.end - part.begin));
      }
    }
    current.swap(next);
  }
  words->insert(words->end(), current.begin(), current.end());
  return absl::OkStatus();
}

}  // namespace ft::tokenizer
