#include "worker/model/ops/dispatch.h"

#include <ATen/Parallel.h>

#include "gtest/gtest.h"

namespace ft::ops {
namespace {

using torch::Tensor;

Tensor Chosen(const std::vector<std::vector<int64_t>>& rows) {
  std::vector<int64_t> all;
  for (const std::vector<int64_t>& row : rows) all.insert(all.end(), row.begin(), row.end());
  return torch::tensor(all, torch::kLong).view({static_cast<int64_t>(rows.size()), -1});
}

// What pairs and sums are, without any sorting: the row's experts one by one. Expert e multiplies by e + 1.
Tensor ByDefinition(const Tensor& x_NC, const Tensor& weight_NK, const Tensor& expert_NK) {
  Tensor sum = torch::zeros_like(x_NC);
  for (int64_t k = 0; k < expert_NK.size(1); ++k) {
    const Tensor factor = (expert_NK.select(1, k) + 1).to(torch::kFloat) * weight_NK.select(1, k);
    sum = sum + x_NC * factor.unsqueeze(1);
  }
  return sum;
}

Tensor BySorting(const Tensor& x_NC, const Tensor& weight_NK, const Dispatch& dispatch) {
  std::vector<float> factor;
  for (size_t e = 0; e < dispatch.pairs_of_expert.size(); ++e)
    factor.insert(factor.end(), static_cast<size_t>(dispatch.pairs_of_expert[e]), static_cast<float>(e + 1));
  const Tensor y_PC = GatherRows(x_NC, dispatch) * torch::tensor(factor).unsqueeze(1);
  return CombineRows(y_PC, weight_NK, dispatch);
}

TEST(Dispatch, PairsAreSortedByExpertAndThenByRow) {
  const Dispatch dispatch = MakeDispatch(Chosen({{2, 0}, {0, 3}, {3, 2}, {0, 2}}), 5);
  EXPECT_EQ(dispatch.pairs_of_expert, (std::vector<int64_t>{3, 0, 3, 2, 0}));
  EXPECT_TRUE(at::equal(dispatch.row_P, torch::tensor({0, 1, 3, 0, 2, 3, 1, 2}, torch::kLong)));
  EXPECT_TRUE(at::equal(dispatch.pair_NK, Chosen({{3, 0}, {1, 6}, {7, 4}, {2, 5}})));
}

TEST(Dispatch, SumsAndGradientsAreThoseOfTheDefinition) {
  at::Generator generator = at::detail::createCPUGenerator(3);
  // Mixed, an expert without rows, and all rows to one.
  for (const Tensor& expert_NK : {Chosen({{2, 0}, {0, 3}, {3, 2}, {0, 2}}), Chosen({{4}, {4}, {4}, {4}})}) {
    const Dispatch dispatch = MakeDispatch(expert_NK, 5);
    const Tensor x = torch::randn({4, 6}, generator).requires_grad_();
    const Tensor weight = torch::rand(expert_NK.sizes(), generator).requires_grad_();
    const Tensor upstream = torch::randn({4, 6}, generator);
    const Tensor wanted = ByDefinition(x, weight, expert_NK), found = BySorting(x, weight, dispatch);
    EXPECT_TRUE(torch::allclose(found, wanted, 1e-6, 1e-6));
    const auto expected = torch::autograd::grad({wanted}, {x, weight}, {upstream});
    const auto gradients = torch::autograd::grad({found}, {x, weight}, {upstream});
    EXPECT_TRUE(torch::allclose(gradients[0], expected[0], 1e-6, 1e-6));
    EXPECT_TRUE(torch::allclose(gradients[1], expected[1], 1e-5, 1e-6));
  }
}

TEST(Dispatch, AnyNumberOfThreadsGivesTheSameBits) {
  at::Generator generator = at::detail::createCPUGenerator(4);
  const Tensor expert_NK = std::get<1>(torch::rand({300, 7}, generator).topk(3));
  const Tensor x = torch::randn({300, 257}, generator), weight = torch::rand({300, 3}, generator);
  std::vector<Tensor> first;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    const Tensor leaf = x.clone().requires_grad_(), weights = weight.clone().requires_grad_();
    const Tensor sum = BySorting(leaf, weights, MakeDispatch(expert_NK, 7));
    std::vector<Tensor> results = torch::autograd::grad({sum}, {leaf, weights}, {x});
    results.push_back(sum.detach());
    if (first.empty()) first = results;
    for (size_t i = 0; i < results.size(); ++i)
      EXPECT_TRUE(at::equal(results[i], first[i])) << threads << " " << i;
  }
  at::set_num_threads(1);
}

TEST(Dispatch, DropoutIsThatOfTheRows) {
  const Dispatch dispatch = MakeDispatch(Chosen({{1}, {0}, {1}}), 2);
  const auto rows = MakeDropoutRows(7, 8, {10, 11, 12}, {0, 5, 6});
  const auto pairs = GatherDropout(rows, dispatch);
  EXPECT_EQ(pairs->key, rows->key);
  EXPECT_TRUE(at::equal(pairs->position_N, torch::tensor({5, 0, 6}, torch::kLong)));
  EXPECT_TRUE(at::equal(DropoutOf(pairs, 1, 2)->sample_N, torch::tensor({10, 12}, torch::kLong)));
  EXPECT_EQ(GatherDropout(nullptr, dispatch), nullptr);
  EXPECT_EQ(DropoutOf(nullptr, 0, 1), nullptr);
}

}  // namespace
}  // namespace ft::ops
