#include "worker/model/decoder/experts.h"

#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "worker/model/decoder/projection.h"
#include "worker/model/ops/dispatch.h"
#include "worker/model/ops/saved_context.h"

namespace ft::model {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The columns of the largest values of each row, the largest first, of equal ones the first.
Tensor LargestColumns(const Tensor& value_NE, int64_t count) {
  const Tensor columns =
      std::get<1>(at::sort(value_NE, /*stable=*/std::optional<bool>(true), -1, /*descending=*/true));
  return columns.narrow(1, 0, count).contiguous();
}

// The scores of experts that may be chosen; those of the other groups are less than any.
Tensor Eligible(const Experts& experts, const Tensor& score_NE) {
  if (experts.groups == 1) return score_NE;
  const int64_t rows = score_NE.size(0), size = experts.count / experts.groups;
  const Tensor best_NG = score_NE.view({rows, experts.groups, size}).amax(2);
  const Tensor chosen = LargestColumns(best_NG, experts.chosen_groups);
  const Tensor hidden_NG = torch::ones_like(best_NG, at::kBool).scatter_(1, chosen, false);
  return score_NE.masked_fill(hidden_NG.repeat_interleave(size, 1), -std::numeric_limits<float>::infinity());
}

struct BalanceCall {
  std::shared_ptr<RouterBalance> balance;
  int64_t layer = 0;
};

// The router's output as it is; on the way back the gradient of the routers' loss is added.
struct BalanceFunction : torch::autograd::Function<BalanceFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& logits_NE, const Tensor& probability_NE,
                        BalanceCall call) {
    context->save_for_backward({probability_NE});
    ops::SaveInContext(context, std::move(call));
    return logits_NE.view_as(logits_NE);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto& call = ops::SavedInContext<BalanceCall>(context);
    const Tensor probability_NE = context->get_saved_variables()[0];
    const Tensor dprobability_NE =
        call.balance->Gradient(call.layer, probability_NE.device()).expand_as(probability_NE).contiguous();
    return {gradients[0] + at::_softmax_backward_data(dprobability_NE, probability_NE, -1, at::kFloat),
            Tensor(), Tensor()};
  }
};

Tensor Balanced(const Tensor& logits_NE, const Tensor& expert_NK, const ForwardContext& context,
                int64_t layer) {
  const Tensor probability_NE = at::softmax(logits_NE.detach(), -1);
  context.balance->Record(layer, probability_NE, expert_NK);
  return BalanceFunction::apply(logits_NE, probability_NE, BalanceCall{context.balance, layer});
}

Tensor ChosenColumns(const Experts& experts, const Tensor& logits_NE) {
  const torch::NoGradGuard no_grad;
  const bool of_all = experts.score == Experts::Score::kSoftmax;
  return LargestColumns(Eligible(experts, of_all ? at::softmax(logits_NE, -1) : logits_NE), experts.chosen);
}

Tensor WeightsOf(const Experts& experts, const Tensor& logits_NE, const Tensor& expert_NK) {
  if (experts.score == Experts::Score::kSoftmaxOfChosen)
    return at::softmax(logits_NE.gather(1, expert_NK), -1) * experts.scale;
  Tensor weight_NK = at::softmax(logits_NE, -1).gather(1, expert_NK);
  if (experts.renormalised) weight_NK = weight_NK / weight_NK.sum(-1, /*keepdim=*/true);
  return experts.scale == 1 ? weight_NK : weight_NK * experts.scale;
}

// What the experts make of their rows, one expert after the other.
Tensor RunExperts(const DecoderConfig& config, const SubLayerWeights& weights, const Tensor& x_PC,
                  const ops::Dispatch& dispatch, const ForwardContext& context, int64_t layer) {
  std::vector<int64_t> sizes;
  std::vector<const ExpertWeights*> experts;
  for (size_t e = 0; e < weights.experts.size(); ++e) {
    if (dispatch.pairs_of_expert[e] == 0) continue;
    sizes.push_back(dispatch.pairs_of_expert[e]);
    experts.push_back(&weights.experts[e]);
  }
  const auto dropout = ops::GatherDropout(context.dropout, dispatch);
  const std::vector<Tensor> parts = at::split_with_sizes(x_PC, sizes);
  std::vector<Tensor> results;
  int64_t first = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const ForwardContext of_expert{.compute = context.compute,
                                   .saved_dtype = context.saved_dtype,
                                   .dropout = ops::DropoutOf(dropout, first, sizes[i])};
    const Tensor inner_PF =
        GateAndUp(config, experts[i]->inputs, experts[i]->output, parts[i], of_expert, layer);
    results.push_back(Unrounded(experts[i]->output, inner_PF, of_expert, layer, context.saved_dtype));
    first += sizes[i];
  }
  return at::cat(results);
}

}  // namespace

Routing Route(const Experts& experts, const Tensor& logits_NE) {
  const Tensor expert_NK = ChosenColumns(experts, logits_NE);
  return {expert_NK, WeightsOf(experts, logits_NE, expert_NK)};
}

Tensor ExpertsForward(const DecoderConfig& config, const SubLayerWeights& weights, const Tensor& x_NC,
                      const ForwardContext& context, int64_t layer) {
  const Experts& experts = config.experts;
  Tensor logits_NE = Unrounded(weights.router, x_NC, context, layer, context.saved_dtype);
  if (context.balance != nullptr)
    logits_NE = Balanced(logits_NE, ChosenColumns(experts, logits_NE), context, layer);
  const Routing routing = Route(experts, logits_NE);
  const ops::Dispatch dispatch = ops::MakeDispatch(routing.expert_NK, experts.count);
  const Tensor y_PC = RunExperts(config, weights, ops::GatherRows(x_NC, dispatch), dispatch, context, layer);
  const Tensor y_NC = ops::CombineRows(y_PC, routing.weight_NK, dispatch, context.saved_dtype);
  if (!weights.shared()) return y_NC;
  const Tensor shared_NF = GateAndUp(config, weights.inputs, weights.output, x_NC, context, layer);
  return y_NC + Unrounded(weights.output, shared_NF, context, layer, context.saved_dtype);
}

}  // namespace ft::model
