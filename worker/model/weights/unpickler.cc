#include "worker/model/weights/unpickler.h"

#include <cstring>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <variant>

#include "core/base/excerpt.h"
#include "worker/model/weights/tensor_table.h"

namespace ft::weights {
namespace {

// Also of the memo. A dictionary of tensors makes some 15 values a tensor.
constexpr size_t kMaxValues = 1'000'000;
constexpr size_t kMaxStack = 1'000'000;
constexpr size_t kMaxMarks = 1000;
constexpr size_t kMaxArguments = 16;
constexpr size_t kMaxNameBytes = 1024;
// The key of a storage, in practice a number. Every tensor that names a storage holds a copy.
constexpr size_t kMaxKeyBytes = 64;
// Where trainers keep the weights in a checkpoint of several things (Lightning, DeepSpeed, plain loops).
constexpr std::string_view kStateDictKeys[] = {"state_dict", "model_state_dict", "module", "model"};

using Ref = uint32_t;  // Index of a value. Values refer to each other by it, so no cycle or depth can hurt.

enum class Callable { kOrderedDict, kRebuildTensor, kRebuildParameter };
struct None {};
struct StorageType {
  DType dtype;
};
struct Storage {
  size_t index;  // In storages_.
};
struct Tensor {
  size_t index;  // In tensors_.
};
struct Tuple {
  std::vector<Ref> items;
};
struct Dict {
  std::vector<std::pair<Ref, Ref>> items;
};
struct Unused {
};  // A float or a list: trainers keep some beside the weights, nothing here needs what is in them.
using Value = std::variant<None, bool, int64_t, std::string, Callable, StorageType, Storage, Tensor, Tuple,
                           Dict, Unused>;

struct StorageInfo {
  DType dtype = DType::kF32;
  std::string key;
  uint64_t elements = 0;
};

// Every global that a pickle may name.
struct KnownGlobal {
  std::string_view module;
  std::string_view name;
  std::variant<Callable, StorageType> value;
};

const KnownGlobal kGlobals[] = {
    {"collections", "OrderedDict", Callable::kOrderedDict},
    {"torch._utils", "_rebuild_tensor_v2", Callable::kRebuildTensor},
    {"torch._utils", "_rebuild_parameter", Callable::kRebuildParameter},
    {"torch", "FloatStorage", StorageType{DType::kF32}},
    {"torch", "HalfStorage", StorageType{DType::kF16}},
    {"torch", "BFloat16Storage", StorageType{DType::kBF16}},
    {"torch", "DoubleStorage", StorageType{DType::kF64}},
    {"torch", "LongStorage", StorageType{DType::kI64}},
    {"torch", "IntStorage", StorageType{DType::kI32}},
    {"torch", "ShortStorage", StorageType{DType::kI16}},
    {"torch", "CharStorage", StorageType{DType::kI8}},
    {"torch", "ByteStorage", StorageType{DType::kU8}},
    {"torch", "BoolStorage", StorageType{DType::kBool}},
};

// Names of the instructions that attacks and other kinds of pickle use, for the message.
std::string OpcodeText(uint8_t opcode) {
  struct Known {
    uint8_t opcode;
    std::string_view name;
  };
  static constexpr Known kKnown[] = {{'i', "INST"},       {'o', "OBJ"},      {0x81, "NEWOBJ"},
                                     {0x92, "NEWOBJ_EX"}, {0x82, "EXT1"},    {0x83, "EXT2"},
                                     {0x84, "EXT4"},      {'P', "PERSID"},   {'2', "DUP"},
                                     {'0', "POP"},        {'1', "POP_MARK"}, {'l', "LIST"},
                                     {'d', "DICT"},       {'F', "FLOAT"},    {'I', "INT"},
                                     {'L', "LONG"},       {'S', "STRING"},   {'T', "BINSTRING"},
                                     {'V', "UNICODE"},    {'B', "BINBYTES"}, {'C', "SHORT_BINBYTES"},
                                     {'g', "GET"},        {'p', "PUT"},      {0x8f, "EMPTY_SET"},
                                     {0x96, "BYTEARRAY8"}};
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = StrCat("0x", std::string(1, kDigits[opcode >> 4]), std::string(1, kDigits[opcode & 15]));
  for (const Known& known : kKnown) {
    if (known.opcode == opcode) StrAppend(&text, " (", known.name, ")");
  }
  return text;
}

Status Refused(std::string_view why) {
  return absl::InvalidArgumentError(StrCat("the pickle is refused: ", why));
}

class Unpickler {
 public:
  explicit Unpickler(std::string_view pickle) : rest_(pickle) {}
  StatusOr<std::vector<PickledTensor>> Run();

 private:
  Status Execute(uint8_t opcode);

  // Input.
  StatusOr<std::string_view> Take(size_t size);
  StatusOr<uint64_t> TakeNumber(size_t size);  // Little-endian, unsigned.
  StatusOr<std::string_view> TakeLine();

  // Stack.
  Status Push(Value value);
  Status PushRef(Ref ref);
  StatusOr<Ref> Pop();
  StatusOr<std::vector<Ref>> PopToMark();
  Status Mark();

  // Instructions.
  Status Protocol();
  Status Text(size_t length_bytes);
  Status Integer(size_t size, bool is_signed);
  Status Long(size_t length_bytes);
  Status Float();
  Status Append();
  Status AppendToMark();
  Status TupleOf(size_t size);
  Status TupleToMark();
  Status Put(uint64_t key);
  Status PutNumbered(size_t size);
  Status Get(size_t size);
  Status Global();
  Status StackGlobal();
  Status PushGlobal(std::string_view module, std::string_view name);
  Status Reduce();
  Status PersistentId();
  Status SetItems(std::vector<Ref> items);
  Status SetItem();
  Status SetItemsToMark();
  Status Build();

  // What REDUCE may build.
  Status RebuildTensor(std::span<const Ref> args);
  StatusOr<std::vector<int64_t>> Numbers(Ref ref) const;
  // The dictionary of the weights: this one, or the one that a trainer's checkpoint keeps under a key of its
  // own.
  const Dict* StateDictIn(const Dict& dict) const;
  StatusOr<std::vector<PickledTensor>> Finish();

  template <typename T>
  const T* As(Ref ref) const {
    return std::get_if<T>(&values_[ref]);
  }

  std::string_view rest_;
  std::vector<Value> values_;
  std::vector<Ref> stack_;
  std::vector<size_t> marks_;  // Stack sizes.
  std::unordered_map<uint64_t, Ref> memo_;
  std::vector<StorageInfo> storages_;
  std::vector<PickledTensor> tensors_;
};

StatusOr<std::vector<PickledTensor>> Unpickler::Run() {
  while (true) {
    ASSIGN_OR_RETURN(const uint64_t opcode, TakeNumber(1));
    if (opcode == '.') return Finish();
    RETURN_IF_ERROR(Execute(static_cast<uint8_t>(opcode)));
  }
}

Status Unpickler::Execute(uint8_t opcode) {
  switch (opcode) {
    case 0x80: return Protocol();
    case 0x95: return TakeNumber(8).status();  // FRAME: how much may be read at once; nothing to do.
    case '(': return Mark();
    case 'N': return Push(None{});
    case 0x88: return Push(true);
    case 0x89: return Push(false);
    case 'K': return Integer(1, false);
    case 'M': return Integer(2, false);
    case 'J': return Integer(4, true);
    case 0x8a: return Long(1);
    case 0x8b: return Long(4);
    case 0x8c: return Text(1);
    case 'X': return Text(4);
    case '}': return Push(Dict{});
    case 'G': return Float();
    case ']': return Push(Unused{});
    case 'a': return Append();
    case 'e': return AppendToMark();
    case ')': return Push(Tuple{});
    case 0x85: return TupleOf(1);
    case 0x86: return TupleOf(2);
    case 0x87: return TupleOf(3);
    case 't': return TupleToMark();
    case 'q': return PutNumbered(1);
    case 'r': return PutNumbered(4);
    case 0x94: return Put(memo_.size());
    case 'h': return Get(1);
    case 'j': return Get(4);
    case 'c': return Global();
    case 0x93: return StackGlobal();
    case 'R': return Reduce();
    case 'Q': return PersistentId();
    case 's': return SetItem();
    case 'u': return SetItemsToMark();
    case 'b': return Build();
    default: return Refused(StrCat("instruction ", OpcodeText(opcode), " has no place in a file of tensors"));
  }
}

StatusOr<std::string_view> Unpickler::Take(size_t size) {
  if (size > rest_.size()) return Refused("it ends in the middle");
  const std::string_view taken = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return taken;
}

StatusOr<uint64_t> Unpickler::TakeNumber(size_t size) {
  ASSIGN_OR_RETURN(const std::string_view bytes, Take(size));
  uint64_t value = 0;
  std::memcpy(&value, bytes.data(), size);
  return value;
}

StatusOr<std::string_view> Unpickler::TakeLine() {
  const size_t end = rest_.substr(0, kMaxNameBytes).find('\n');
  if (end == std::string_view::npos) return Refused("the name of a global does not end");
  ASSIGN_OR_RETURN(std::string_view line, Take(end + 1));
  line.remove_suffix(1);
  return line;
}

Status Unpickler::Push(Value value) {
  if (values_.size() == kMaxValues) return Refused(StrCat("it makes more than ", kMaxValues, " values"));
  values_.push_back(std::move(value));
  return PushRef(static_cast<Ref>(values_.size() - 1));
}

Status Unpickler::PushRef(Ref ref) {
  if (stack_.size() == kMaxStack) return Refused(StrCat("its stack grows beyond ", kMaxStack, " values"));
  stack_.push_back(ref);
  return absl::OkStatus();
}

StatusOr<Ref> Unpickler::Pop() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) {
    return Refused("it takes a value from an empty stack");
  }
  const Ref ref = stack_.back();
  stack_.pop_back();
  return ref;
}

StatusOr<std::vector<Ref>> Unpickler::PopToMark() {
  if (marks_.empty()) return Refused("it lacks a mark");
  std::vector<Ref> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
  stack_.resize(marks_.back());
  marks_.pop_back();
  return items;
}

Status Unpickler::Mark() {
  if (marks_.size() == kMaxMarks) return Refused(StrCat("it nests deeper than ", kMaxMarks));
  marks_.push_back(stack_.size());
  return absl::OkStatus();
}

Status Unpickler::Protocol() {
  ASSIGN_OR_RETURN(const uint64_t protocol, TakeNumber(1));
  if (protocol < 2 || protocol > 5) return Refused(StrCat("protocol ", protocol, " is unknown"));
  return absl::OkStatus();
}

Status Unpickler::Text(size_t length_bytes) {
  ASSIGN_OR_RETURN(const uint64_t length, TakeNumber(length_bytes));
  ASSIGN_OR_RETURN(const std::string_view text, Take(length));
  return Push(std::string(text));
}

Status Unpickler::Integer(size_t size, bool is_signed) {
  ASSIGN_OR_RETURN(const uint64_t value, TakeNumber(size));
  return Push(is_signed ? int64_t{static_cast<int32_t>(static_cast<uint32_t>(value))}
                        : static_cast<int64_t>(value));
}

// Two's complement in as many bytes as given.
Status Unpickler::Long(size_t length_bytes) {
  ASSIGN_OR_RETURN(const uint64_t length, TakeNumber(length_bytes));
  if (length > sizeof(int64_t)) return Refused(StrCat("a whole number of ", length, " bytes"));
  ASSIGN_OR_RETURN(uint64_t value, TakeNumber(length));
  if (length > 0 && length < sizeof(int64_t) && (value >> (8 * length - 1)) != 0)
    value |= ~uint64_t{0} << (8 * length);
  return Push(static_cast<int64_t>(value));
}

Status Unpickler::Float() {
  RETURN_IF_ERROR(Take(sizeof(double)).status());
  return Push(Unused{});
}

Status Unpickler::Append() {
  RETURN_IF_ERROR(Pop().status());
  ASSIGN_OR_RETURN(const Ref list, Pop());
  if (As<Unused>(list) == nullptr) return Refused("it appends to something that is no list");
  return PushRef(list);
}

Status Unpickler::AppendToMark() {
  RETURN_IF_ERROR(PopToMark().status());
  ASSIGN_OR_RETURN(const Ref list, Pop());
  if (As<Unused>(list) == nullptr) return Refused("it appends to something that is no list");
  return PushRef(list);
}

Status Unpickler::TupleOf(size_t size) {
  Tuple tuple;
  tuple.items.resize(size);
  for (size_t i = size; i-- > 0;) {
    ASSIGN_OR_RETURN(tuple.items[i], Pop());
  }
  return Push(std::move(tuple));
}

Status Unpickler::TupleToMark() {
  ASSIGN_OR_RETURN(std::vector<Ref> items, PopToMark());
  return Push(Tuple{std::move(items)});
}

Status Unpickler::Put(uint64_t key) {
  if (memo_.size() == kMaxValues) return Refused(StrCat("it stores more than ", kMaxValues, " values"));
  ASSIGN_OR_RETURN(const Ref ref, Pop());
  memo_[key] = ref;
  return PushRef(ref);
}

Status Unpickler::PutNumbered(size_t size) {
  ASSIGN_OR_RETURN(const uint64_t key, TakeNumber(size));
  return Put(key);
}

Status Unpickler::Get(size_t size) {
  ASSIGN_OR_RETURN(const uint64_t key, TakeNumber(size));
  const auto found = memo_.find(key);
  if (found == memo_.end()) return Refused(StrCat("it recalls value ", key, ", which was never stored"));
  return PushRef(found->second);
}

Status Unpickler::Global() {
  ASSIGN_OR_RETURN(const std::string_view module, TakeLine());
  ASSIGN_OR_RETURN(const std::string_view name, TakeLine());
  return PushGlobal(module, name);
}

Status Unpickler::StackGlobal() {
  ASSIGN_OR_RETURN(const Ref name_ref, Pop());
  ASSIGN_OR_RETURN(const Ref module_ref, Pop());
  const std::string* name = As<std::string>(name_ref);
  const std::string* module = As<std::string>(module_ref);
  if (name == nullptr || module == nullptr) return Refused("the name of a global is no text");
  return PushGlobal(std::string(*module), std::string(*name));
}

Status Unpickler::PushGlobal(std::string_view module, std::string_view name) {
  for (const KnownGlobal& known : kGlobals) {
    if (known.module != module || known.name != name) continue;
    return std::visit([this](auto value) { return Push(value); }, known.value);
  }
  return Refused(StrCat("it names ", Excerpt(module, kMaxNameBytes), ".", Excerpt(name, kMaxNameBytes),
                        ", which is not needed for tensors and may run code"));
}

Status Unpickler::Reduce() {
  ASSIGN_OR_RETURN(const Ref args_ref, Pop());
  ASSIGN_OR_RETURN(const Ref callable_ref, Pop());
  const Callable* callable = As<Callable>(callable_ref);
  const Tuple* tuple = As<Tuple>(args_ref);
  if (callable == nullptr || tuple == nullptr) return Refused("it calls something that is no function");
  // Copied, because pushing moves the values; a longer one calls nothing that is known here.
  if (tuple->items.size() > kMaxArguments)
    return Refused(StrCat("it calls with ", tuple->items.size(), " values"));
  const std::vector<Ref> args = tuple->items;
  switch (*callable) {
    case Callable::kOrderedDict:
      if (!args.empty()) return Refused("it fills an OrderedDict in its call");
      return Push(Dict{});
    case Callable::kRebuildTensor: return RebuildTensor(args);
    case Callable::kRebuildParameter:
      if (args.empty() || As<Tensor>(args[0]) == nullptr) return Refused("a parameter without a tensor");
      return PushRef(args[0]);
  }
  return Refused("it calls something that is no function");
}

// ('storage', type, key, location, elements): the one kind of outside object that PyTorch stores.
Status Unpickler::PersistentId() {
  ASSIGN_OR_RETURN(const Ref ref, Pop());
  const Tuple* tuple = As<Tuple>(ref);
  if (tuple == nullptr || tuple->items.size() != 5) {
    return Refused("a storage is not described by five values");
  }
  const std::vector<Ref>& items = tuple->items;
  const std::string* kind = As<std::string>(items[0]);
  const StorageType* type = As<StorageType>(items[1]);
  const std::string* key = As<std::string>(items[2]);
  const int64_t* elements = As<int64_t>(items[4]);
  if (kind == nullptr || *kind != "storage" || type == nullptr || key == nullptr || elements == nullptr) {
    return Refused("a storage is not described by type, key and size");
  }
  if (*elements < 0 || key->size() > kMaxKeyBytes) return Refused("a storage has an impossible size or key");
  storages_.push_back({type->dtype, *key, static_cast<uint64_t>(*elements)});
  return Push(Storage{storages_.size() - 1});
}

Status Unpickler::SetItems(std::vector<Ref> items) {
  if (items.size() % 2 != 0) return Refused("a key without a value");
  ASSIGN_OR_RETURN(const Ref target, Pop());
  Dict* dict = std::get_if<Dict>(&values_[target]);
  if (dict == nullptr) return Refused("it sets items of something that is no dictionary");
  for (size_t i = 0; i < items.size(); i += 2) dict->items.emplace_back(items[i], items[i + 1]);
  return PushRef(target);
}

Status Unpickler::SetItem() {
  ASSIGN_OR_RETURN(const Ref value, Pop());
  ASSIGN_OR_RETURN(const Ref key, Pop());
  return SetItems({key, value});
}

Status Unpickler::SetItemsToMark() {
  ASSIGN_OR_RETURN(std::vector<Ref> items, PopToMark());
  return SetItems(std::move(items));
}

// State dicts carry a plain dictionary of module versions as an attribute; it is dropped.
Status Unpickler::Build() {
  ASSIGN_OR_RETURN(const Ref state, Pop());
  ASSIGN_OR_RETURN(const Ref target, Pop());
  if (As<Dict>(state) == nullptr || As<Dict>(target) == nullptr) {
    return Refused("it sets the state of something that is no dictionary");
  }
  return PushRef(target);
}

StatusOr<std::vector<int64_t>> Unpickler::Numbers(Ref ref) const {
  const Tuple* tuple = As<Tuple>(ref);
  if (tuple == nullptr) return Refused("a tensor's shape or strides are no tuple");
  if (tuple->items.size() > kMaxDimensions) return Refused("a tensor has too many dimensions");
  std::vector<int64_t> numbers;
  for (const Ref item : tuple->items) {
    const int64_t* number = As<int64_t>(item);
    if (number == nullptr || *number < 0) return Refused("a tensor's shape or stride is no count");
    numbers.push_back(*number);
  }
  return numbers;
}

// Every element must lie within the storage, and a view may not repeat elements: a one-element storage could
// otherwise stand for a tensor of any size.
Status CheckView(const PickledTensor& tensor) {
  ASSIGN_OR_RETURN(const uint64_t elements, CheckedElements(tensor.info.shape));
  if (elements == 0) return absl::OkStatus();
  uint64_t last = tensor.offset;
  for (size_t i = 0; i < tensor.strides.size(); ++i) {
    uint64_t step = 0;
    if (__builtin_mul_overflow(static_cast<uint64_t>(tensor.info.shape[i] - 1),
                               static_cast<uint64_t>(tensor.strides[i]), &step) ||
        __builtin_add_overflow(last, step, &last)) {
      return Refused("a tensor's strides overflow");
    }
  }
  if (last >= tensor.storage_elements || elements > tensor.storage_elements) {
    return Refused(StrCat("a tensor of shape ", ShapeText(tensor.info.shape), " at offset ", tensor.offset,
                          " does not lie within its storage of ", tensor.storage_elements, " elements"));
  }
  return absl::OkStatus();
}

// (storage, offset, shape, strides, requires_grad, backward_hooks[, metadata])
Status Unpickler::RebuildTensor(std::span<const Ref> args) {
  if (args.size() != 6 && args.size() != 7) {
    return Refused(StrCat("a tensor made of ", args.size(), " values"));
  }
  const Storage* storage = As<Storage>(args[0]);
  const int64_t* offset = As<int64_t>(args[1]);
  if (storage == nullptr || offset == nullptr || *offset < 0) {
    return Refused("a tensor without a storage or offset");
  }
  PickledTensor tensor;
  ASSIGN_OR_RETURN(tensor.info.shape, Numbers(args[2]));
  ASSIGN_OR_RETURN(tensor.strides, Numbers(args[3]));
  if (tensor.strides.size() != tensor.info.shape.size()) {
    return Refused("a tensor's shape and strides differ in length");
  }
  const StorageInfo& info = storages_[storage->index];
  tensor.info.dtype = info.dtype;
  tensor.storage = info.key;
  tensor.storage_elements = info.elements;
  tensor.offset = static_cast<uint64_t>(*offset);
  RETURN_IF_ERROR(CheckView(tensor));
  tensors_.push_back(std::move(tensor));
  return Push(Tensor{tensors_.size() - 1});
}

const Dict* Unpickler::StateDictIn(const Dict& dict) const {
  const Dict* found = nullptr;
  for (const auto& [key_ref, value_ref] : dict.items) {
    if (As<Tensor>(value_ref) != nullptr) return &dict;
    const std::string* key = As<std::string>(key_ref);
    if (key == nullptr) continue;
    for (const std::string_view known : kStateDictKeys) {
      if (*key == known && found == nullptr) found = As<Dict>(value_ref);
    }
  }
  return found == nullptr ? &dict : found;
}

StatusOr<std::vector<PickledTensor>> Unpickler::Finish() {
  if (!rest_.empty()) return Refused("bytes follow its end");
  if (stack_.size() != 1 || !marks_.empty()) return Refused("it does not end with one value");
  const Dict* dict = As<Dict>(stack_[0]);
  if (dict == nullptr) return Refused("it holds no dictionary of tensors");
  dict = StateDictIn(*dict);
  std::vector<PickledTensor> named;
  std::set<std::string_view> names;
  for (const auto& [key_ref, value_ref] : dict->items) {
    const std::string* key = As<std::string>(key_ref);
    if (key == nullptr || key->size() > kMaxNameBytes) return Refused("a tensor's name is no short text");
    const Tensor* tensor = As<Tensor>(value_ref);
    if (tensor == nullptr) {
      return Refused(
          StrCat("its entry '", *key,
                 "' is no tensor; save the model's state_dict() alone, best as model.safetensors"));
    }
    if (!names.insert(*key).second) return Refused(StrCat("tensor '", *key, "' is there twice"));
    named.push_back(tensors_[tensor->index]);
    named.back().info.name = *key;
  }
  return named;
}

}  // namespace

StatusOr<std::vector<PickledTensor>> UnpickleStateDict(std::string_view pickle) {
  if (pickle.size() > kMaxPickleBytes) {
    return Refused(StrCat("it has ", pickle.size(), " bytes, more than the ", kMaxPickleBytes, " allowed"));
  }
  return Unpickler(pickle).Run();
}

}  // namespace ft::weights
