// `ft-rank plan` and `ft-rank preview`: what a job would do, worked out before anything takes a device.
#pragma once

#include <string>
#include <vector>

namespace ft::rank {

// plan --spec FILE --cache DIR [--json]: settings with a reason each, steps, tokens, memory by part, expected time.
int PlanVerb(const std::vector<std::string>& arguments);

// preview --spec FILE --cache DIR [--json]: columns used and samples with the tokens that carry loss marked.
int PreviewVerb(const std::vector<std::string>& arguments);

}  // namespace ft::rank
