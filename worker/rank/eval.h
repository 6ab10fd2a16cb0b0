// `ft-rank eval`: what a model scores, with or without an adapter: MMLU, the perplexity of files, answers to the prompts of a file.
#pragma once

#include <string>
#include <vector>

namespace ft::rank {

// eval --help says what it takes.
int EvalVerb(const std::vector<std::string>& arguments);

}  // namespace ft::rank
