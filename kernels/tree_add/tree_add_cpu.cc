#include "kernels/tree_add/tree_add.h"

namespace ft::kernels {

void TreeAdd(const float* rows, int count, int64_t columns, int64_t first, int64_t last, float* sum) {
  for (int64_t i = first; i < last; ++i)
    sum[i] = TreeSum(count, [&](int k) { return rows[k * columns + i]; });
}

}  // namespace ft::kernels
