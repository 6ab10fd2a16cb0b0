// `ft-rank chat`: talk to a model, with or without an adapter.
#pragma once

#include <string>
#include <vector>

namespace ft::rank {

// chat [--model M] [--adapter A] [--attempt D] [--prompt TEXT]... [--system TEXT] [--max-new-tokens N]
// [--temperature X]
//      [--top-k K] [--top-p P] [--seed S] [--dtype D] [--base auto|stored|dequantised] [--json]
// Without --prompt it reads lines from standard input; an empty line does nothing, /reset forgets, /exit
// leaves.
int ChatVerb(const std::vector<std::string>& arguments);

}  // namespace ft::rank
