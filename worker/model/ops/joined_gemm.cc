#include "worker/model/ops/joined_gemm.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/check.h"
#include "worker/model/ops/strided_weight.h"
#include "worker/model/ops/weight_arena.h"

namespace ft::ops {
namespace {

using torch::Tensor;

// Inner sizes and distances of rows are multiples of it, in values: 16 bytes of bfloat16, as tensor cores want them.
constexpr int64_t kAlignment = 8;

int64_t Padded(int64_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

// Terms of a sum that one product can hold: their rows have one type, and their matrices lie one way.
struct Group {
  at::ScalarType type = at::kFloat;
  bool transposed = false;
  std::vector<const GemmTerm*> terms;

  const Tensor& first() const { return terms[0]->a_NK; }
  int64_t inner() const {
    int64_t sum = 0;
    for (const GemmTerm* term : terms) sum += term->a_NK.size(1);
    return sum;
  }
  // Trained weights alone lie in memory in the type of the product: to copy them and their rows would cost more than to add their
  // products up one after the other.
  bool joins() const {
    return terms.size() > 1 && std::any_of(terms.begin(), terms.end(), [](const GemmTerm* term) {
             return term->weight != nullptr && !term->weight->trainable();
           });
  }
};

std::vector<Group> GroupsOf(const FusedGemm& gemm) {
  std::vector<Group> groups;
  for (const GemmTerm& term : gemm.terms) {
    const at::ScalarType type = term.a_NK.scalar_type();
    const auto found = std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
      return group.type == type && group.transposed == term.transposed;
    });
    if (found == groups.end()) {
      groups.push_back({type, term.transposed, {&term}});
    } else {
      found->terms.push_back(&term);
    }
  }
  return groups;
}

// Each term a group of its own where the group does not join.
std::vector<Group> ProductsOf(const FusedGemm& gemm) {
  std::vector<Group> products;
  for (Group& group : GroupsOf(gemm)) {
    if (group.joins()) {
      products.push_back(std::move(group));
    } else {
      for (const GemmTerm* term : group.terms) products.push_back({group.type, group.transposed, {term}});
    }
  }
  return products;
}

Tensor MatrixOf(const GemmTerm& term, at::ScalarType type) {
  return term.weight == nullptr ? term.matrix.to(type) : term.weight->Materialise(type);
}

const StridedWeight* Strided(const GemmTerm& term) { return dynamic_cast<const StridedWeight*>(term.weight); }

// The rows of joined terms side by side, and zeros up to the padded inner size. What stays the same from one product to the next is
// copied once.
class JoinedRows {
 public:
  explicit JoinedRows(const std::vector<std::vector<Group>>& products) : products_(products) {}

  Tensor Of(const Group& group) {
    const bool known = first_.defined() && first_.is_same(group.first());
    if (!known) {
      first_ = group.first();
      buffer_NK_ = torch::empty({first_.size(0), Width()}, first_.options());
    }
    int64_t column = 0;
    for (const GemmTerm* term : group.terms) {
      const int64_t columns = term->a_NK.size(1);
      if (column > 0 || !known) buffer_NK_.narrow(1, column, columns).copy_(term->a_NK);
      column += columns;
    }
    const int64_t inner = Padded(column);
    if (inner > column) buffer_NK_.narrow(1, column, inner - column).zero_();
    return buffer_NK_.narrow(1, 0, inner);
  }

 private:
  // Of the widest product that begins with these rows.
  int64_t Width() const {
    int64_t width = 0;
    for (const std::vector<Group>& sum : products_) {
      for (const Group& group : sum) {
        if (group.terms.size() > 1 && group.first().is_same(first_))
          width = std::max(width, Padded(group.inner()));
      }
    }
    return width;
  }

  const std::vector<std::vector<Group>>& products_;
  Tensor first_;
  Tensor buffer_NK_;
};

// The matrix of a product, K x C, and where its memory is the arena's, the turn there.
struct Operand {
  Tensor matrix_KC;
  std::optional<WeightArena::Matrix> in_arena;
};

void Write(const GemmTerm& term, const Tensor& out) {
  if (const StridedWeight* weight = Strided(term)) {
    weight->WriteTo(out);
  } else {
    out.copy_(MatrixOf(term, out.scalar_type()));
  }
}

Operand OperandOf(const Group& group, WeightArena& arena) {
  const GemmTerm& first = *group.terms[0];
  if (group.terms.size() == 1 && Strided(first) == nullptr) {
    const Tensor matrix = MatrixOf(first, group.type);
    return {group.transposed ? matrix.t() : matrix, std::nullopt};
  }
  const int64_t inner = group.inner(), joined = group.terms.size() == 1 ? inner : Padded(inner);
  const at::IntArrayRef shape =
      first.weight == nullptr ? first.matrix.sizes() : at::IntArrayRef(first.weight->shape());
  const int64_t columns = shape[group.transposed ? 0 : 1];
  // Terms lie along the dimension `along`: as columns of a transposed matrix, else as rows.
  const int64_t along = group.transposed ? 1 : 0;
  Operand operand{{},
                  group.transposed ? arena.Take(columns, Padded(inner), group.type)
                                   : arena.Take(joined, Padded(columns), group.type)};
  const Tensor whole = group.transposed ? operand.in_arena->tensor().narrow(1, 0, joined)
                                        : operand.in_arena->tensor().narrow(1, 0, columns);
  int64_t place = 0;
  for (const GemmTerm* term : group.terms) {
    const int64_t size = term->a_NK.size(1);
    Write(*term, whole.narrow(along, place, size));
    place += size;
  }
  if (joined > place) whole.narrow(along, place, joined - place).zero_();
  operand.matrix_KC = group.transposed ? whole.t() : whole;
  return operand;
}

// total + a b in float32, whatever the type of a and b: `total` is float32, or undefined for zero.
Tensor AddProduct(const Tensor& total, const Tensor& a, const Tensor& b) {
  if (a.scalar_type() == at::kFloat) return total.defined() ? at::addmm(total, a, b) : at::mm(a, b);
  return total.defined() ? at::addmm(total, a, b, at::kFloat) : at::mm(a, b, at::kFloat);
}

// Whether one product is the whole result, so that the GEMM itself rounds it.
bool IsOneProduct(const FusedGemm& gemm, const std::vector<Group>& products) {
  return products.size() == 1 && products[0].type == gemm.type && gemm.type != at::kFloat &&
         gemm.scale == 1 && !gemm.start_NC.defined() && !gemm.bias_C.defined();
}

Tensor ComputeOne(const FusedGemm& gemm, const std::vector<Group>& products, JoinedRows& joined,
                  WeightArena& arena) {
  const bool from_start = gemm.scale == 1 && gemm.start_NC.defined();
  const bool one = IsOneProduct(gemm, products);
  Tensor total_NC = from_start ? gemm.start_NC : Tensor();
  for (const Group& group : products) {
    const Tensor rows_NK = group.terms.size() == 1 ? group.first() : joined.Of(group);
    const Operand operand = OperandOf(group, arena);
    total_NC = one ? at::mm(rows_NK, operand.matrix_KC, gemm.type)
                   : AddProduct(total_NC, rows_NK, operand.matrix_KC);
  }
  if (gemm.scale != 1) total_NC.mul_(gemm.scale);
  if (gemm.start_NC.defined() && !from_start) total_NC.add_(gemm.start_NC);
  if (gemm.bias_C.defined()) total_NC.add_(gemm.bias_C);
  return gemm.in_place ? gemm.start_NC.copy_(total_NC) : total_NC.to(gemm.type);
}

}  // namespace

std::vector<Tensor> ComputeJoined(const std::vector<FusedGemm>& gemms) {
  std::vector<std::vector<Group>> products;
  for (const FusedGemm& gemm : gemms) products.push_back(ProductsOf(gemm));
  const std::shared_ptr<WeightArena> arena = WeightArena::On(gemms[0].terms[0].a_NK.device());
  FT_CHECK(arena != nullptr) << "products of the host's memory go panel by panel";
  JoinedRows joined(products);
  std::vector<Tensor> results;
  for (size_t i = 0; i < gemms.size(); ++i)
    results.push_back(ComputeOne(gemms[i], products[i], joined, *arena));
  return results;
}

}  // namespace ft::ops
