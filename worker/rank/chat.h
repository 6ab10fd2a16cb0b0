// `ft-rank chat`: talk to a model, with or without an adapter.
#pragma once

#include <string>
#include <vector>

namespace ft::rank {

// chat --help says what it takes. Without --prompt it reads lines from standard input; an empty line does nothing, /reset forgets,
// /exit leaves.
int ChatVerb(const std::vector<std::string>& arguments);

}  // namespace ft::rank
