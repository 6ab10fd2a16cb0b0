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

void PreTokenizer::Add(SplitStep step) {
  const bool plain = step.behavior == SplitBehavior::kIsolated && !step.invert;
  const WordScanner scanner = plain ? ScannerOf(step.regex.pattern()) : nullptr;
  steps_.push_back({std::move(step), scanner});
}

Status PreTokenizer::AddPattern(std::string_view pattern) {
  ASSIGN_OR_RETURN(Regex regex, Regex::Compile(pattern));
  Add({.regex = std::move(regex)});
  return absl::OkStatus();
}

Status PreTokenizer::Split(std::string_view piece, Scratch* scratch) const {
  scratch->words.assign(1, piece);
  for (const Step& step : steps_) {
    scratch->next.clear();
    for (const std::string_view word : scratch->words) {
      if (step.scanner != nullptr) {
        bool matched = false;
        for (size_t begin = 0, end = 0; begin < word.size(); begin = end) {
          end = step.scanner(word, begin, &matched);
          scratch->next.push_back(word.substr(begin, end - begin));
        }
        continue;
      }
      std::vector<Part> parts;
      RETURN_IF_ERROR(MatchParts(step.split, word, &parts));
      for (const Part& part : Apply(step.split.behavior, std::move(parts)))
        scratch->next.push_back(word.substr(part.begin, part.end - part.begin));
    }
    scratch->words.swap(scratch->next);
  }
  return absl::OkStatus();
}

}  // namespace ft::tokenizer
