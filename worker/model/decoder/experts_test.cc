#include "worker/model/decoder/experts.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "gtest/gtest.h"
#include "worker/model/decoder/router_balance.h"

namespace ft::model {
namespace {

using torch::Tensor;

Tensor Longs(const std::vector<int64_t>& values, int64_t rows) {
  return torch::tensor(values, torch::kLong).view({rows, -1});
}

Tensor RandomLogits(int64_t rows, int64_t experts) {
  at::Generator generator = at::detail::createCPUGenerator(9);
  return torch::randn({rows, experts}, generator);
}

TEST(Router, TheBestComeFirstAndOfEqualOnesTheFirst) {
  const Tensor logits = torch::tensor({{1.0f, 3.0f, 2.0f, 3.0f}, {0.0f, 0.0f, 0.0f, 0.0f}});
  const Routing routing = Route({.count = 4, .chosen = 3}, logits);
  EXPECT_TRUE(at::equal(routing.expert_NK, Longs({1, 3, 2, 0, 1, 2}, 2)));
  EXPECT_TRUE(torch::allclose(routing.weight_NK[1], torch::full({3}, 0.25f)));
}

TEST(Router, WeightsAreTheSharesOfWhatTheChoiceSays) {
  const Tensor logits = RandomLogits(5, 6), share = at::softmax(logits, -1);
  const Experts plain{.count = 6, .chosen = 2};
  const Routing routing = Route(plain, logits);
  EXPECT_TRUE(torch::allclose(routing.weight_NK, share.gather(1, routing.expert_NK)));
  Experts renormalised = plain;
  renormalised.renormalised = true;
  renormalised.scale = 3;
  EXPECT_TRUE(torch::allclose(Route(renormalised, logits).weight_NK.sum(1), torch::full({5}, 3.0f)));
  Experts of_chosen = plain;
  of_chosen.score = Experts::Score::kSoftmaxOfChosen;
  // A softmax over a part is the renormalised softmax over all.
  EXPECT_TRUE(torch::allclose(Route(of_chosen, logits).weight_NK,
                              routing.weight_NK / routing.weight_NK.sum(1, /*keepdim=*/true)));
}

TEST(Router, OnlyExpertsOfTheBestGroupsAreChosen) {
  // The third and fourth best lie in groups whose best is less than the first two groups'.
  const Tensor logits = torch::tensor({{0.0f, 9.0f, 7.0f, 6.0f, 8.0f, 1.0f}});
  const Experts experts{.count = 6, .chosen = 3, .groups = 3, .chosen_groups = 2};
  EXPECT_TRUE(at::equal(Route(experts, logits).expert_NK, Longs({1, 4, 5}, 1)));
}

TEST(Router, GroupsThatDoNotDivideAreRefused) {
  DecoderConfig config{.vocabulary = 9,
                       .hidden = 8,
                       .layers = 1,
                       .heads = 2,
                       .key_heads = 2,
                       .head_size = 4,
                       .intermediate = 8};
  config.experts = {.count = 6, .chosen = 2, .width = 4};
  EXPECT_TRUE(config.Validate().ok()) << config.Validate();
  config.experts.groups = 4;
  EXPECT_EQ(Message(config.Validate()),
            "n_group(4) does not divide 6 experts, or topk_group(1) of them hold fewer than "
            "num_experts_per_tok(2)");
  config.experts.groups = 6;
  EXPECT_FALSE(config.Validate().ok());
  config.experts.chosen_groups = 2;
  EXPECT_TRUE(config.Validate().ok()) << config.Validate();
}

TEST(Router, AllRowsMayGoToOneExpert) {
  const Tensor logits = torch::zeros({7, 3}) + torch::tensor({0.0f, 5.0f, 1.0f});
  const Routing routing = Route({.count = 3, .chosen = 1}, logits);
  EXPECT_TRUE(at::equal(routing.expert_NK, torch::ones({7, 1}, torch::kLong)));
}

const std::vector<ops::AttentionSegment> kSamples = {{0, 4, 0, 4}, {4, 2, 4, 2}};

Experts Balancing(Experts::Balance balance) {
  return {.count = 5, .chosen = 2, .balance = balance, .balance_weight = 0.5};
}

// As the papers write it, with a graph over the probabilities of two layers.
Tensor Written(Experts::Balance balance, const std::vector<Tensor>& probability,
               const std::vector<Tensor>& chosen) {
  const auto share = [](const Tensor& expert) {
    return torch::one_hot(expert, 5).to(torch::kFloat).sum(1).mean(0);
  };
  if (balance == Experts::Balance::kModel)
    return 5 * (share(at::cat(chosen)) * at::cat(probability).mean(0)).sum();
  Tensor loss = torch::zeros({});
  for (size_t layer = 0; layer < probability.size(); ++layer) {
    const auto part = [&](int64_t first, int64_t rows) {
      return 5 / 2.0 *
             (share(chosen[layer].narrow(0, first, rows)) * probability[layer].narrow(0, first, rows).mean(0))
                 .sum();
    };
    loss = loss + (balance == Experts::Balance::kLayer ? part(0, 6) : (part(0, 4) + part(4, 2)) / 2);
  }
  return loss;
}

TEST(RouterBalance, LossAndGradientAreThoseOfTheFormula) {
  for (const auto balance :
       {Experts::Balance::kModel, Experts::Balance::kLayer, Experts::Balance::kSequence}) {
    const Experts experts = Balancing(balance);
    RouterBalance recorded(experts, 3, kSamples);
    std::vector<Tensor> probability, chosen;
    for (const int64_t layer : {0, 2}) {
      probability.push_back(
          at::softmax(RandomLogits(6, 5) * static_cast<double>(layer + 1), -1).requires_grad_());
      chosen.push_back(std::get<1>(probability.back().topk(2)));
      recorded.Record(layer, probability.back(), chosen.back());
      recorded.Record(layer, torch::ones({6, 5}), torch::zeros({6, 2}, torch::kLong));  // A second time.
    }
    const Tensor loss = Written(balance, probability, chosen);
    EXPECT_NEAR(recorded.Finish(3), 0.5 * loss.item<double>(), 1e-6);
    const auto gradients = torch::autograd::grad({loss}, probability, {torch::full({}, 0.5 * 3)});
    for (size_t i = 0; i < 2; ++i) {
      const Tensor found = recorded.Gradient(i == 0 ? 0 : 2, at::kCPU).expand({6, 5});
      EXPECT_TRUE(torch::allclose(found, gradients[i], 1e-5, 1e-7)) << i;
    }
  }
}

}  // namespace
}  // namespace ft::model
