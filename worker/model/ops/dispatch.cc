#include "worker/model/ops/dispatch.h"

#include <tuple>

#include "worker/device/staging.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/saved_context.h"

namespace ft::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The pairs of the rows' k-th experts.
Tensor PairsOf(const Dispatch& dispatch, int64_t k) { return dispatch.pair_NK.select(1, k).contiguous(); }

struct GatherFunction : torch::autograd::Function<GatherFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x_NC, Dispatch dispatch) {
    Tensor x_PC = x_NC.index_select(0, dispatch.row_P);
    SaveInContext(context, std::move(dispatch));
    return x_PC;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto& dispatch = SavedInContext<Dispatch>(context);
    const Tensor& dx_PC = gradients[0];
    Tensor dx_NC = dx_PC.index_select(0, PairsOf(dispatch, 0)).to(at::kFloat);
    for (int64_t k = 1; k < dispatch.pair_NK.size(1); ++k)
      dx_NC.add_(dx_PC.index_select(0, PairsOf(dispatch, k)));
    return {dx_NC.to(dx_PC.scalar_type()), Tensor()};
  }
};

struct CombineFunction : torch::autograd::Function<CombineFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& y_PC, const Tensor& weight_NK,
                        Dispatch dispatch, at::ScalarType saved_dtype) {
    Tensor sum_NC;
    for (int64_t k = 0; k < weight_NK.size(1); ++k) {
      Tensor part_NC = y_PC.index_select(0, PairsOf(dispatch, k)).mul_(weight_NK.narrow(1, k, 1));
      sum_NC = k == 0 ? part_NC : sum_NC.add_(part_NC);
    }
    context->save_for_backward({y_PC.to(saved_dtype), weight_NK});
    SaveInContext(context, std::move(dispatch));
    return sum_NC;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto& dispatch = SavedInContext<Dispatch>(context);
    const variable_list saved = context->get_saved_variables();
    const Tensor &y_PC = saved[0], &weight_NK = saved[1], &dout_NC = gradients[0];
    variable_list result(4);
    if (context->needs_input_grad(0)) {
      Tensor weight_P = torch::empty({dispatch.row_P.size(0)}, weight_NK.options());
      weight_P.scatter_(0, dispatch.pair_NK.flatten(), weight_NK.flatten());
      result[0] = dout_NC.index_select(0, dispatch.row_P).mul_(weight_P.unsqueeze(1));
    }
    if (!context->needs_input_grad(1)) return result;
    result[1] = torch::empty_like(weight_NK);
    for (int64_t k = 0; k < weight_NK.size(1); ++k) {
      result[1].select(1, k).copy_((y_PC.index_select(0, PairsOf(dispatch, k)) * dout_NC).sum(1));
    }
    return result;
  }
};

}  // namespace

Dispatch MakeDispatch(const Tensor& expert_NK, int64_t experts) {
  const torch::NoGradGuard no_grad;
  const int64_t rows = expert_NK.size(0), chosen = expert_NK.size(1);
  const Tensor host_NK = device::Download(expert_NK);
  Dispatch dispatch{.pairs_of_expert = std::vector<int64_t>(static_cast<size_t>(experts), 0)};
  const int64_t* expert = Data<int64_t>(host_NK);
  for (int64_t i = 0; i < rows * chosen; ++i) ++dispatch.pairs_of_expert[static_cast<size_t>(expert[i])];
  std::vector<int64_t> next;  // The next pair of each expert.
  int64_t first = 0;
  for (const int64_t pairs : dispatch.pairs_of_expert) {
    next.push_back(first);
    first += pairs;
  }
  Tensor row_P = torch::empty({rows * chosen}, at::kLong), pair_NK = torch::empty({rows, chosen}, at::kLong);
  auto *row = MutableData<int64_t>(row_P), *pair = MutableData<int64_t>(pair_NK);
  for (int64_t i = 0; i < rows * chosen; ++i) {
    pair[i] = next[static_cast<size_t>(expert[i])]++;
    row[pair[i]] = i / chosen;
  }
  dispatch.row_P = device::Upload(row_P, expert_NK.device());
  dispatch.pair_NK = device::Upload(pair_NK, expert_NK.device());
  return dispatch;
}

Tensor GatherRows(const Tensor& x_NC, const Dispatch& dispatch) {
  return GatherFunction::apply(x_NC, dispatch);
}

Tensor CombineRows(const Tensor& y_PC, const Tensor& weight_NK, const Dispatch& dispatch,
                   at::ScalarType saved_dtype) {
  return CombineFunction::apply(y_PC, weight_NK, dispatch, saved_dtype);
}

std::shared_ptr<const DropoutRows> GatherDropout(const std::shared_ptr<const DropoutRows>& rows,
                                                 const Dispatch& dispatch) {
  if (rows == nullptr) return nullptr;
  return std::make_shared<const DropoutRows>(DropoutRows{rows->key,
                                                         rows->sample_N.index_select(0, dispatch.row_P),
                                                         rows->position_N.index_select(0, dispatch.row_P)});
}

std::shared_ptr<const DropoutRows> DropoutOf(const std::shared_ptr<const DropoutRows>& pairs, int64_t first,
                                             int64_t count) {
  if (pairs == nullptr) return nullptr;
  return std::make_shared<const DropoutRows>(DropoutRows{pairs->key, pairs->sample_N.narrow(0, first, count),
                                                         pairs->position_N.narrow(0, first, count)});
}

}  // namespace ft::ops
