// Saves a C++ value in an autograd context from forward to backward.
#pragma once

#include <torch/autograd.h>
#include <torch/types.h>

#include <utility>

namespace ft::ops {

template <typename T>
struct ContextValue final : torch::CustomClassHolder {
  explicit ContextValue(T saved) : value(std::move(saved)) {}
  T value;
};

// At most one value a context.
template <typename T>
void SaveInContext(torch::autograd::AutogradContext* context, T value) {
  context->saved_data["value"] =
      c10::IValue::make_capsule(c10::make_intrusive<ContextValue<T>>(std::move(value)));
}

// REQUIRES: a T was saved.
template <typename T>
const T& SavedInContext(torch::autograd::AutogradContext* context) {
  return static_cast<ContextValue<T>&>(*context->saved_data["value"].toCapsule()).value;
}

}  // namespace ft::ops
