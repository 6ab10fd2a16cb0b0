// How a rank's work failed, in the words of the coordinator's retry budgets: an error carries its failure class (a name of
// finetune.v1.FailureClass) as a payload, so that RETURN_IF_ERROR passes both on.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/status.h"
#include "core/records/records.h"

namespace ft::rank {

// The error with a class. One that has a class keeps it: whoever was nearer to the cause knows it better. OK stays OK.
Status WithClass(Status status, std::string_view failure_class);

template <typename T>
StatusOr<T> WithClass(StatusOr<T> result, std::string_view failure_class) {
  if (result.ok()) return result;
  return WithClass(std::move(result).status(), failure_class);
}

// An error of work in which ranks exchange data. By its code:
//   UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL   NETWORK: a peer has gone, is late or is at another operation
//   DATA_LOSS                                  DEVICE_FAULT: ranks computed different numbers
//   any other                                  `failure_class`, that of the work
Status WithExchangeClass(Status status, std::string_view failure_class);

template <typename T>
StatusOr<T> WithExchangeClass(StatusOr<T> result, std::string_view failure_class) {
  if (result.ok()) return result;
  return WithExchangeClass(std::move(result).status(), failure_class);
}

// The class of a training step that failed by its numbers: DATA where the samples have nothing to learn
// (INVALID_ARGUMENT), CHECKPOINT_IO where the optimizer's state could not be read or written (ABORTED, RESOURCE_EXHAUSTED), NAN_LOSS otherwise.
std::string_view StepFailureClass(const Status& status);

// The class an error carries; UNKNOWN_EXIT without one.
std::string FailureClass(const Status& status);

// What was thrown (by LibTorch, a driver or the standard library) as an error with its class: DEVICE_OOM, HOST_OOM, DEVICE_FAULT, CONFIG
// of a device that cannot be used; UNKNOWN_EXIT for anything else.
Status ThrownStatus(const std::exception& error);

// `work`'s status, or what it throws.
Status Guarded(const std::function<Status()>& work);

// A failed result of the error's class.
records::Result Failed(const Status& status, int64_t step = 0);

}  // namespace ft::rank
