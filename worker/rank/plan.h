// `ft-rank plan` and `ft-rank preview`: what a job would do, worked out before anything takes a device.
#pragma once

#include <string>
#include <vector>

namespace ft::rank {

// plan --spec FILE --cache DIR [--card NAME] [--json]: settings with a reason each, steps, tokens, memory by part, expected time. Of a
// job for a GPU the memory is the card's, of which --card says how much it has (plan::Cards), and no time is expected: it is not here.
int PlanVerb(const std::vector<std::string>& arguments);

// preview --spec FILE --cache DIR [--json]: columns used and samples with the tokens that carry loss marked.
int PreviewVerb(const std::vector<std::string>& arguments);

}  // namespace ft::rank
