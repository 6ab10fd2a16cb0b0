// The rules behind FindViolations(), by what they look at. Each appends one sentence for each violation it
// finds.
#pragma once

#include <string>
#include <vector>

#include "tests/control/check/evidence.h"
#include "tests/control/check/invariants.h"
#include "tests/control/check/timeline.h"

namespace ft::check {

using Violations = std::vector<std::string>;

void CheckWatches(const Evidence& evidence, Violations& out);                        // I9
void CheckOrphans(const Timeline& timeline, const Bounds& bounds, Violations& out);  // I11
void CheckLiveness(const Evidence& evidence, const Timeline& timeline, const Bounds& bounds,
                   Violations& out);                                                      // I12
void CheckHealthyWork(const Timeline& timeline, const Bounds& bounds, Violations& out);   // I13
void CheckCapacity(const Evidence& evidence, const Timeline& timeline, Violations& out);  // I14
void CheckPriority(const Evidence& evidence, const Timeline& timeline, Violations& out);  // I14

}  // namespace ft::check
