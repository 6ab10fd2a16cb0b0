#include "worker/model/params/gradient_sink.h"

namespace ft::params {

void AddToRows(const torch::Tensor& place_VC, const torch::Tensor& row_U, const torch::Tensor& gradient_UC) {
  torch::Tensor(place_VC).index_copy_(0, row_U, place_VC.index_select(0, row_U).add_(gradient_UC));
}

}  // namespace ft::params
