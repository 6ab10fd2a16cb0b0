// How a rank's work ended, in the words of the coordinator's retry budgets.
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/records/records.h"

namespace ft::rank {

// A failed result of the given class (a name of finetune.v1.FailureClass).
records::Result Failed(std::string failure_class, const Status& status, int64_t step = 0);

// The class of a training step that failed by its numbers: DATA where the samples have nothing to learn
// (INVALID_ARGUMENT), NAN_LOSS otherwise.
std::string_view ClassOfStep(const Status& status);

}  // namespace ft::rank
