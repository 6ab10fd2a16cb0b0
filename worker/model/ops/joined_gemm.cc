#include "worker/model/ops/joined_gemm.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/check.h"
#include "worker/model/ops/joined_rows.h"
#include "worker/model/ops/strided_weight.h"
#include "worker/model/ops/weight_arena.h"

namespace ft::ops {
namespace {

using torch::Tensor;

using Terms = std::vector<const GemmTerm*>;

int64_t InnerOf(const Terms& terms) {
  int64_t sum = 0;
  for (const GemmTerm* term : terms) sum += term->a_NK.size(1);
  return sum;
}

int64_t ColumnsOf(const GemmTerm& term) {
  const at::IntArrayRef shape =
      term.weight == nullptr ? term.matrix.sizes() : at::IntArrayRef(term.weight->shape());
  return shape[term.transposed ? 0 : 1];
}

const StridedWeight* Strided(const GemmTerm& term) { return dynamic_cast<const StridedWeight*>(term.weight); }

// Terms of a sum that one product can hold: their rows have one type, and their matrices lie one way.
struct Group {
  at::ScalarType type = at::kFloat;
  bool transposed = false;
  Terms terms;

  const Tensor& first() const { return terms[0]->a_NK; }
  // Trained weights alone lie in memory in the type of the product: to copy them and their rows would cost more than to add their
  // products up one after the other.
  bool joins() const {
    return terms.size() > 1 && std::any_of(terms.begin(), terms.end(), [](const GemmTerm* term) {
             return term->weight != nullptr && !term->weight->trainable();
           });
  }
  // Whether the product reads a copy of the matrix in any case.
  bool copies() const { return joins() || (terms.size() == 1 && Strided(*terms[0]) != nullptr); }
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

// The rows of joined terms side by side, and zeros up to the padded inner size. What stays the same from one product to the next is
// copied once, and not at all where it has room behind it.
class JoinedRows {
 public:
  // `width`: of the widest product that begins with these rows.
  Tensor Of(const Terms& terms, int64_t width) {
    Begin(terms[0]->a_NK, width);
    int64_t column = first_.size(1);
    for (size_t i = 1; i < terms.size(); ++i) {
      const Tensor& a_NK = terms[i]->a_NK;
      buffer_NK_.narrow(1, column, a_NK.size(1)).copy_(a_NK);
      column += a_NK.size(1);
    }
    const int64_t inner = PaddedInner(column);
    if (inner > column) buffer_NK_.narrow(1, column, inner - column).zero_();
    return buffer_NK_.narrow(1, 0, inner);
  }

 private:
  void Begin(const Tensor& first_NK, int64_t width) {
    if (first_.defined() && first_.is_same(first_NK)) return;
    first_ = first_NK;
    buffer_NK_ = WithRoom(first_NK, width - first_NK.size(1));
    if (buffer_NK_.defined()) return;
    buffer_NK_ = torch::empty({first_NK.size(0), width}, first_NK.options());
    buffer_NK_.narrow(1, 0, first_NK.size(1)).copy_(first_NK);
  }

  Tensor first_;
  Tensor buffer_NK_;
};

// Of the widest product that begins with these rows.
int64_t WidthOf(const Tensor& first, const std::vector<std::vector<Group>>& products) {
  int64_t width = 0;
  for (const std::vector<Group>& sum : products) {
    for (const Group& group : sum) {
      if (group.terms.size() > 1 && group.first().is_same(first))
        width = std::max(width, PaddedInner(InnerOf(group.terms)));
    }
  }
  return width;
}

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
  const int64_t inner = InnerOf(group.terms), joined = group.terms.size() == 1 ? inner : PaddedInner(inner);
  const int64_t columns = ColumnsOf(first);
  // Terms lie along the dimension `along`: as columns of a transposed matrix, else as rows.
  const int64_t along = group.transposed ? 1 : 0;
  Operand operand{{},
                  group.transposed ? arena.Take(columns, PaddedInner(inner), group.type)
                                   : arena.Take(joined, PaddedInner(columns), group.type)};
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

// `all`: the products of all sums.
Tensor ComputeOne(const FusedGemm& gemm, const std::vector<Group>& products,
                  const std::vector<std::vector<Group>>& all, JoinedRows& joined, WeightArena& arena) {
  const bool from_start = gemm.scale == 1 && gemm.start_NC.defined();
  const bool one = IsOneProduct(gemm, products);
  Tensor total_NC = from_start ? gemm.start_NC : Tensor();
  for (const Group& group : products) {
    const Tensor rows_NK =
        group.terms.size() == 1 ? group.first() : joined.Of(group.terms, WidthOf(group.first(), all));
    const Operand operand = OperandOf(group, arena);
    total_NC = one ? at::mm(rows_NK, operand.matrix_KC, gemm.type)
                   : AddProduct(total_NC, rows_NK, operand.matrix_KC);
  }
  if (gemm.scale != 1) total_NC.mul_(gemm.scale);
  if (gemm.start_NC.defined() && !from_start) total_NC.add_(gemm.start_NC);
  if (gemm.bias_C.defined()) total_NC.add_(gemm.bias_C);
  return gemm.in_place ? gemm.start_NC.copy_(total_NC) : total_NC.to(gemm.type);
}

// Sums whose results are columns of one product.
struct SharedProduct {
  std::vector<size_t> sums;  // In the list of all, in order; none or several.
  std::vector<const Group*> groups;

  // What all have, and then what each has of its own.
  Terms AllTerms() const {
    Terms terms = {groups[0]->terms[0]};
    for (const Group* group : groups) terms.insert(terms.end(), group->terms.begin() + 1, group->terms.end());
    return terms;
  }
};

SharedProduct SharedOf(const std::vector<FusedGemm>& gemms, const std::vector<std::vector<Group>>& products,
                       ResultRows rows) {
  SharedProduct shared;
  if (rows == ResultRows::kApart) return shared;
  for (size_t i = 0; i < gemms.size(); ++i) {
    const Group& group = products[i][0];
    if (products[i].size() > 1 || !group.transposed || group.type == at::kFloat ||
        gemms[i].start_NC.defined() || !(rows == ResultRows::kShared || group.copies())) {
      continue;
    }
    const bool fits = shared.sums.empty() || (group.first().is_same(shared.groups[0]->first()) &&
                                              gemms[i].type == gemms[shared.sums[0]].type &&
                                              gemms[i].scale == gemms[shared.sums[0]].scale);
    if (!fits) continue;
    shared.sums.push_back(i);
    shared.groups.push_back(&group);
  }
  return shared.sums.size() > 1 ? shared : SharedProduct();
}

// The matrices of all sums below each other, C x K: first those that multiply the rows which all have, behind them each sum's own, among zeros.
WeightArena::Matrix SharedMatrix(const SharedProduct& shared, int64_t joined, WeightArena& arena) {
  const int64_t common = shared.groups[0]->first().size(1);
  int64_t columns = 0;
  for (const Group* group : shared.groups) columns += ColumnsOf(*group->terms[0]);
  WeightArena::Matrix matrix = arena.Take(columns, joined, shared.groups[0]->type);
  if (joined > common) matrix.tensor().narrow(1, common, joined - common).zero_();
  int64_t row = 0, place = common;
  for (const Group* group : shared.groups) {
    const Tensor rows = matrix.tensor().narrow(0, row, ColumnsOf(*group->terms[0]));
    Write(*group->terms[0], rows.narrow(1, 0, common));
    for (size_t i = 1; i < group->terms.size(); ++i) {
      const int64_t size = group->terms[i]->a_NK.size(1);
      Write(*group->terms[i], rows.narrow(1, place, size));
      place += size;
    }
    row += rows.size(0);
  }
  return matrix;
}

// Sets the results of those sums.
void ComputeShared(const SharedProduct& shared, const std::vector<FusedGemm>& gemms, WeightArena& arena,
                   std::vector<Tensor>& results) {
  const Terms terms = shared.AllTerms();
  const FusedGemm& first = gemms[shared.sums[0]];
  const int64_t inner = InnerOf(terms), joined = PaddedInner(inner);
  const WeightArena::Matrix matrix = SharedMatrix(shared, joined, arena);
  // What is read in place has no columns that would multiply the padding.
  const Tensor rows_NK = terms.size() == 1 ? terms[0]->a_NK : JoinedRows().Of(terms, joined);
  const Tensor matrix_KC = matrix.tensor().narrow(1, 0, rows_NK.size(1)).t();
  Tensor total_NC = at::mm(rows_NK, matrix_KC, at::kFloat);
  if (first.scale != 1) total_NC.mul_(first.scale);
  std::vector<int64_t> columns;
  for (const Group* group : shared.groups) columns.push_back(ColumnsOf(*group->terms[0]));
  const std::vector<Tensor> sums = at::split_with_sizes(total_NC, columns, 1);
  for (size_t k = 0; k < sums.size(); ++k) {
    const Tensor& bias_C = gemms[shared.sums[k]].bias_C;
    if (bias_C.defined()) sums[k].add_(bias_C);
  }
  const std::vector<Tensor> rounded = at::split_with_sizes(total_NC.to(first.type), columns, 1);
  for (size_t k = 0; k < rounded.size(); ++k) results[shared.sums[k]] = rounded[k];
}

}  // namespace

std::vector<Tensor> ComputeJoined(const std::vector<FusedGemm>& gemms, ResultRows rows) {
  std::vector<std::vector<Group>> products;
  for (const FusedGemm& gemm : gemms) products.push_back(ProductsOf(gemm));
  const std::shared_ptr<WeightArena> arena = WeightArena::On(gemms[0].terms[0].a_NK.device());
  FT_CHECK(arena != nullptr) << "products of the host's memory go panel by panel";
  std::vector<Tensor> results(gemms.size());
  const SharedProduct shared = SharedOf(gemms, products, rows);
  if (!shared.sums.empty()) ComputeShared(shared, gemms, *arena, results);
  JoinedRows joined;
  for (size_t i = 0; i < gemms.size(); ++i) {
    if (!results[i].defined()) results[i] = ComputeOne(gemms[i], products[i], products, joined, *arena);
  }
  return results;
}

}  // namespace ft::ops
