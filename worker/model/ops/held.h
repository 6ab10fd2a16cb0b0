// Keeps a C++ value in an autograd context until backward.
#pragma once

#include <torch/torch.h>

#include <utility>

namespace ft::ops {

template <typename T>
struct Held final : torch::CustomClassHolder {
  explicit Held(T held) : value(std::move(held)) {}
  T value;
};

// The context's only held value.
template <typename T>
void Hold(torch::autograd::AutogradContext* context, T value) {
  context->saved_data["held"] = c10::IValue::make_capsule(c10::make_intrusive<Held<T>>(std::move(value)));
}

template <typename T>
const T& GetHeld(torch::autograd::AutogradContext* context) {
  return static_cast<Held<T>&>(*context->saved_data["held"].toCapsule()).value;
}

}  // namespace ft::ops
