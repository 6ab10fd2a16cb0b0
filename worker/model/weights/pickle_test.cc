#include "worker/model/weights/pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <numeric>

#include "tests/support/shared_dir.h"
#include "tests/support/temp_dir.h"
#include "worker/model/weights/unpickler.h"

namespace ft::weights {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
std::string Little(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Pickles written instruction by instruction.
std::string Text(std::string_view text) {
  return "X" + Little(static_cast<uint32_t>(text.size())) + std::string(text);
}
std::string Int(int32_t value) { return "J" + Little(value); }
std::string Global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
std::string Counts(const std::vector<int32_t>& values) {
  std::string text = "(";
  for (const int32_t value : values) text += Int(value);
  return text + "t";
}
std::string Storage(const std::string& type, const std::string& key, int32_t elements) {
  return "(" + Text("storage") + Global("torch", type) + Text(key) + Text("cpu") + Int(elements) + "tQ";
}
constexpr char kNoHooks[] = "ccollections\nOrderedDict\n)R";
std::string TensorOf(const std::string& storage, int32_t offset, const std::vector<int32_t>& shape,
                     const std::vector<int32_t>& strides) {
  return Global("torch._utils", "_rebuild_tensor_v2") + "(" + storage + Int(offset) + Counts(shape) +
         Counts(strides) + "\x89" + kNoHooks + "tR";
}
std::string Floats(int32_t elements, int32_t offset, const std::vector<int32_t>& shape,
                   const std::vector<int32_t>& strides) {
  return TensorOf(Storage("FloatStorage", "0", elements), offset, shape, strides);
}
std::string DictOf(const std::string& items) { return "\x80\x02}(" + items + "u."; }
std::string OneTensor(const std::string& tensor) { return DictOf(Text("w") + tensor); }

// The message with which the pickle is refused; "" when it is accepted.
std::string Refusal(const std::string& pickle) {
  const auto tensors = UnpickleStateDict(pickle);
  if (tensors.ok()) return "";
  EXPECT_TRUE(absl::IsInvalidArgument(tensors.status())) << tensors.status();
  return std::string(Message(tensors.status()));
}

TEST(Unpickler, ReadsATensor) {
  const auto tensors = UnpickleStateDict(OneTensor(Floats(12, 2, {2, 5}, {5, 1})));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 1u);
  const PickledTensor& w = tensors->front();
  EXPECT_EQ(w.info.name, "w");
  EXPECT_EQ(w.info.dtype, DType::kF32);
  EXPECT_THAT(w.info.shape, ElementsAre(2, 5));
  EXPECT_THAT(w.strides, ElementsAre(5, 1));
  EXPECT_EQ(w.storage, "0");
  EXPECT_EQ(w.storage_elements, 12u);
  EXPECT_EQ(w.offset, 2u);
}

TEST(Unpickler, ReadsProtocolFourOrderedDictsWithStateAndParameters) {
  const std::string short_text =
      "\x8c\x0b"s + "collections" + "\x94\x8c\x0b" + "OrderedDict" + "\x93\x94)R\x94";
  const std::string parameter =
      Global("torch._utils", "_rebuild_parameter") + "(" + Floats(4, 0, {4}, {1}) + "\x88" + kNoHooks + "tR";
  const std::string state = "}" + Text("_metadata") + "j"s + Little(uint32_t{2}) + "s";
  const std::string pickle =
      "\x80\x04\x95"s + Little(uint64_t{99}) + short_text + Text("p") + parameter + "s" + state + "b.";
  const auto tensors = UnpickleStateDict(pickle);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 1u);
  EXPECT_EQ(tensors->front().info.name, "p");
}

TEST(Unpickler, NumbersOfEveryWidth) {
  const std::string wide = "\x8a\x08"s + Little(int64_t{12});
  const std::string narrow = "\x8a\x01\x0c"s;
  for (const std::string& twelve : {wide, narrow, "K\x0c"s, "M\x0c\x00"s, "\x8b\x01\x00\x00\x00\x0c"s}) {
    const std::string tensor = Global("torch._utils", "_rebuild_tensor_v2") + "(" +
                               Storage("HalfStorage", "k", 12) + "K\x00"s + twelve + "\x85" +
                               "K\x01\x85\x89" + kNoHooks + "tR";
    const auto tensors = UnpickleStateDict(OneTensor(tensor));
    ASSERT_TRUE(tensors.ok()) << tensors.status();
    EXPECT_THAT(tensors->front().info.shape, ElementsAre(12));
  }
  EXPECT_THAT(Refusal("\x80\x02\x8a\x01\xff."s), HasSubstr("no dictionary"));
}

TEST(Unpickler, RefusesGlobalsByName) {
  EXPECT_THAT(Refusal("\x80\x02" + Global("os", "system") + Text("id") + "\x85R."), HasSubstr("os.system"));
  EXPECT_THAT(Refusal("\x80\x02" + Global("posix", "system") + "."), HasSubstr("posix.system"));
  EXPECT_THAT(Refusal("\x80\x02" + Global("builtins", "eval") + "."), HasSubstr("builtins.eval"));
  EXPECT_THAT(Refusal("\x80\x02" + Global("torch", "load") + "."), HasSubstr("torch.load"));
  EXPECT_THAT(Refusal("\x80\x04\x8c\x02os\x8c\x06system\x93."s), HasSubstr("os.system"));
  EXPECT_NE(Refusal("\x80\x02"
                    "c" +
                    std::string(100000, 'a')),
            "");
}

TEST(Unpickler, RefusesInstructionsByName) {
  EXPECT_THAT(Refusal("\x80\x02(ios\nsystem\n."), HasSubstr("INST"));
  EXPECT_THAT(Refusal("\x80\x02(o."), HasSubstr("OBJ"));
  EXPECT_THAT(Refusal("\x80\x02" + Global("collections", "OrderedDict") + ")\x81."), HasSubstr("NEWOBJ"));
  EXPECT_THAT(Refusal("\x80\x02\x82\x01."), HasSubstr("EXT1"));
  EXPECT_THAT(Refusal("\x80\x02}2."), HasSubstr("DUP"));
  EXPECT_THAT(Refusal("\x80\x02\xfe."), HasSubstr("0xfe"));
}

TEST(Unpickler, RefusesCallsOfAnythingElse) {
  EXPECT_THAT(Refusal("\x80\x02" + Text("os.system") + ")R."), HasSubstr("no function"));
  EXPECT_THAT(Refusal("\x80\x02" + Global("torch", "FloatStorage") + ")R."), HasSubstr("no function"));
  EXPECT_THAT(Refusal("\x80\x02" + Global("collections", "OrderedDict") + "}R."), HasSubstr("no function"));
  EXPECT_THAT(Refusal("\x80\x02" + Global("collections", "OrderedDict") + "}\x85R."),
              HasSubstr("OrderedDict"));
  EXPECT_THAT(Refusal("\x80\x02" + Global("torch._utils", "_rebuild_tensor_v2") + ")R."),
              HasSubstr("made of 0 values"));
  EXPECT_THAT(Refusal("\x80\x02" + Global("torch._utils", "_rebuild_parameter") + "}\x85R."),
              HasSubstr("without a tensor"));
  EXPECT_THAT(Refusal("\x80\x02" + Text("x") + "}b."), HasSubstr("sets the state"));
  EXPECT_THAT(Refusal("\x80\x02" + Text("x") + "Q."), HasSubstr("five values"));
}

TEST(Unpickler, RefusesViewsOutsideTheirStorage) {
  EXPECT_EQ(Refusal(OneTensor(Floats(6, 0, {2, 3}, {3, 1}))), "");
  EXPECT_EQ(Refusal(OneTensor(Floats(6, 0, {3, 2}, {1, 3}))), "");
  EXPECT_EQ(Refusal(OneTensor(Floats(0, 0, {0, 3}, {3, 1}))), "");
  EXPECT_THAT(Refusal(OneTensor(Floats(6, 1, {2, 3}, {3, 1}))), HasSubstr("does not lie within its storage"));
  EXPECT_THAT(Refusal(OneTensor(Floats(6, 0, {2, 3}, {4, 1}))), HasSubstr("does not lie within its storage"));
  EXPECT_THAT(Refusal(OneTensor(Floats(1, 0, {1 << 30}, {0}))), HasSubstr("does not lie within its storage"));
  EXPECT_THAT(Refusal(OneTensor(Floats(6, -1, {2}, {1}))), HasSubstr("storage or offset"));
  EXPECT_THAT(Refusal(OneTensor(Floats(6, 0, {-2}, {1}))), HasSubstr("no count"));
  EXPECT_THAT(Refusal(OneTensor(Floats(6, 5, {2}, {-1}))), HasSubstr("no count"));
  EXPECT_THAT(Refusal(OneTensor(Floats(6, 0, {2, 3}, {1}))), HasSubstr("differ in length"));
  EXPECT_THAT(Refusal(OneTensor(Floats(-1, 0, {1}, {1}))), HasSubstr("impossible size"));
  EXPECT_THAT(Refusal(OneTensor(Floats(6, 0, std::vector<int32_t>(4, 1 << 30), {1, 1, 1, 1}))),
              HasSubstr("elements"));
  const std::string big = "\x8a\x08"s + Little(int64_t{1} << 62);
  const std::string overflowing = Global("torch._utils", "_rebuild_tensor_v2") + "(" +
                                  Storage("FloatStorage", "0", 6) + Int(0) + Counts({5}) + "(" + big +
                                  "t\x89" + kNoHooks + "tR";
  EXPECT_THAT(Refusal(OneTensor(overflowing)), HasSubstr("overflow"));
}

// Both would be copied again and again by a pickle of a few bytes a copy.
TEST(Unpickler, RefusesLongCallsAndLongStorageKeys) {
  const std::string parameter = Global("torch._utils", "_rebuild_parameter");
  EXPECT_THAT(Refusal(OneTensor(parameter + Counts(std::vector<int32_t>(17, 1)) + "R")),
              HasSubstr("calls with 17 values"));
  const std::string storage = Storage("FloatStorage", std::string(65, 'k'), 1);
  EXPECT_THAT(Refusal(OneTensor(TensorOf(storage, 0, {1}, {1}))), HasSubstr("impossible size or key"));
}

TEST(Unpickler, RefusesWhatIsNoDictionaryOfTensors) {
  EXPECT_THAT(Refusal("\x80\x02N."), HasSubstr("no dictionary"));
  EXPECT_THAT(Refusal(DictOf(Text("epoch") + Int(3))), HasSubstr("'epoch' is no tensor"));
  EXPECT_THAT(Refusal(DictOf(Int(3) + Floats(1, 0, {1}, {1}))), HasSubstr("name"));
  EXPECT_THAT(Refusal(DictOf(Text("w") + Floats(1, 0, {1}, {1}) + Text("w") + Floats(1, 0, {1}, {1}))),
              HasSubstr("tensor 'w' is there twice"));
  EXPECT_THAT(Refusal(DictOf(Text("w"))), HasSubstr("key without a value"));
  EXPECT_THAT(Refusal(OneTensor(Floats(1, 0, {1}, {1})) + "x"), HasSubstr("bytes follow"));
  EXPECT_THAT(Refusal("\x80\x02}}."), HasSubstr("one value"));
  EXPECT_THAT(Refusal("\x80\x02(}."), HasSubstr("one value"));
  EXPECT_THAT(Refusal("\x80\x07}."), HasSubstr("protocol 7"));
}

// {"epoch": 3, "lr": 0.5, "log": [1, 2, 3], KEY: {"w": tensor}}, as training scripts save it.
std::string Checkpoint(const std::string& key) {
  const std::string lists = Text("log") + "](" + Int(1) + Int(2) + "e" + Int(3) + "a";
  const std::string weights = Text(key) + "}(" + Text("w") + Floats(6, 0, {2, 3}, {3, 1}) + "u";
  return DictOf(Text("epoch") + Int(3) + Text("lr") + "G" + std::string(8, '\0') + lists + weights);
}

// 112: weights under "state_dict".
TEST(CasesPickle, AStateDictWithinATrainersCheckpointIsRead) {
  for (const char* key : {"state_dict", "model_state_dict", "module", "model"}) {
    const auto tensors = UnpickleStateDict(Checkpoint(key));
    ASSERT_TRUE(tensors.ok()) << tensors.status();
    ASSERT_EQ(tensors->size(), 1u);
    EXPECT_EQ((*tensors)[0].info.name, "w");
  }
  EXPECT_THAT(Refusal(Checkpoint("weights")), HasSubstr("save the model's state_dict() alone"));
  EXPECT_THAT(Refusal("\x80\x02}" + Int(1) + "a."), HasSubstr("no list"));
}

TEST(Unpickler, RefusesBombs) {
  EXPECT_THAT(Refusal("\x80\x02\x8b" + Little(uint32_t{0xffffffff}) + "x."),
              HasSubstr("number of 4294967295 bytes"));
  EXPECT_THAT(Refusal("\x80\x02X" + Little(uint32_t{0xffffffff}) + "x."), HasSubstr("ends in the middle"));
  EXPECT_THAT(Refusal("\x80\x02" + std::string(5000, '(') + "."), HasSubstr("nests deeper"));
  EXPECT_THAT(Refusal("\x80\x02" + std::string(1'500'000, 'N') + "."), HasSubstr("more than 1000000 values"));
  EXPECT_THAT(Refusal("\x80\x02N" + std::string(1'500'000, '\x94') + "."),
              HasSubstr("stores more than 1000000 values"));
  std::string recalls = "\x80\x02Nq\x01"s;
  for (int i = 0; i < 1'200'000; ++i) recalls += "h\x01";
  EXPECT_THAT(Refusal(recalls + "."), HasSubstr("stack grows"));
  EXPECT_THAT(Refusal(std::string(kMaxPickleBytes + 1, 'N')), HasSubstr("allowed"));
}

TEST(Unpickler, DoublingTuplesCostNothing) {
  std::string doubling = "\x80\x02}q\x00"s + "Nq\x01";
  for (int i = 0; i < 200; ++i) doubling += "h\x01h\x01\x86q\x01";  // Each tuple holds the one before twice.
  EXPECT_THAT(Refusal(doubling + "t."), HasSubstr("lacks a mark"));
  EXPECT_THAT(Refusal(doubling + "."), HasSubstr("one value"));
}

TEST(Unpickler, ADictionaryMayHoldItself) {
  EXPECT_THAT(Refusal("\x80\x02}q\x00"s + Text("me") + "h\x00s."s), HasSubstr("'me' is no tensor"));
}

TEST(Unpickler, StackUnderflowIsRefused) {
  for (const char* body :
       {"R.", "s.", "u.", "t.", "Q.", "b.", "\x85.", "\x87.", "q\x01.", "h\x01.", "\x93.", "(R.", "}(s."}) {
    EXPECT_NE(Refusal("\x80\x02"s + body), "") << body;
  }
}

TEST(Unpickler, EveryTruncationAndFlipIsHandled) {
  const std::string good = OneTensor(Floats(6, 0, {2, 3}, {3, 1}));
  for (size_t size = 0; size < good.size(); ++size) EXPECT_NE(Refusal(good.substr(0, size)), "") << size;
  size_t refused = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    for (int flip = 1; flip < 256; flip <<= 1) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      refused += UnpickleStateDict(bad).ok() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, good.size() * 6);
}

// A zip archive with stored entries, as torch.save lays it out.
class Archive {
 public:
  void Add(const std::string& name, const std::string& data, uint16_t method = 0, uint16_t flags = 0) {
    const std::string sizes =
        Little(static_cast<uint32_t>(data.size())) + Little(static_cast<uint32_t>(data.size()));
    const std::string fixed = Little(flags) + Little(method) + Little(uint32_t{0}) + Little(uint32_t{0}) +
                              sizes + Little(static_cast<uint16_t>(name.size()));
    directory_ += "PK\x01\x02"s + Little(uint16_t{0}) + Little(uint16_t{0}) + fixed + Little(uint16_t{0}) +
                  Little(uint16_t{0}) + Little(uint16_t{0}) + Little(uint16_t{0}) + Little(uint32_t{0}) +
                  Little(static_cast<uint32_t>(data_.size())) + name;
    const std::string padding = "FB\x05\x00zzzzz"s;
    data_ += "PK\x03\x04"s + Little(uint16_t{0}) + fixed + Little(static_cast<uint16_t>(padding.size())) +
             name + padding + data;
    ++entries_;
  }
  std::string Bytes() const {
    return data_ + directory_ + "PK\x05\x06"s + Little(uint32_t{0}) + Little(entries_) + Little(entries_) +
           Little(static_cast<uint32_t>(directory_.size())) + Little(static_cast<uint32_t>(data_.size())) +
           Little(uint16_t{0});
  }
  // The same with its directory found through the zip64 records.
  std::string Bytes64() const {
    const uint64_t entries = entries_;
    const uint64_t size = directory_.size();
    const uint64_t offset = data_.size();
    return data_ + directory_ + "PK\x06\x06"s + Little(uint64_t{44}) + Little(uint32_t{0}) +
           Little(uint64_t{0}) + Little(entries) + Little(entries) + Little(size) + Little(offset) +
           "PK\x06\x07"s + Little(uint32_t{0}) + Little(offset + size) + Little(uint32_t{1}) + "PK\x05\x06"s +
           Little(uint32_t{0}) + Little(uint16_t{0xffff}) + Little(uint16_t{0xffff}) +
           Little(uint32_t{0xffffffff}) + Little(uint32_t{0xffffffff}) + Little(uint16_t{0});
  }

 private:
  std::string data_;
  std::string directory_;
  uint16_t entries_ = 0;
};

std::string FloatBytes(const std::vector<float>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

class TorchFileTest : public ::testing::Test {
 protected:
  StatusOr<std::unique_ptr<TensorSource>> Open(const std::string& bytes) {
    std::ofstream(dir_ / "m.bin", std::ios::binary | std::ios::trunc) << bytes;
    return OpenWeights(dir_ / "m.bin");
  }
  std::string Refusal(const std::string& bytes) {
    const auto source = Open(bytes);
    if (source.ok()) return "";
    EXPECT_THAT(std::string(Message(source.status())), HasSubstr("m.bin"));
    return std::string(Message(source.status()));
  }
  // An archive of a 2 x 3 view, its transpose, and a column, over one storage of 0..5.
  Archive Good() const {
    Archive archive;
    archive.Add("m/data.pkl", DictOf(Text("w") + Floats(6, 0, {2, 3}, {3, 1}) + Text("t") +
                                     Floats(6, 0, {3, 2}, {1, 3}) + Text("c") + Floats(6, 1, {2}, {3})));
    archive.Add("m/byteorder", "little");
    archive.Add("m/data/0", FloatBytes({0, 1, 2, 3, 4, 5}));
    return archive;
  }
  testing::TempDir dir_;
};

TEST_F(TorchFileTest, ViewsAreGathered) {
  for (const std::string& bytes : {Good().Bytes(), Good().Bytes64()}) {
    const auto source = Open(bytes);
    ASSERT_TRUE(source.ok()) << source.status();
    const auto read = [&](const char* name) {
      const TensorInfo* info = (*source)->Find(name);
      std::vector<float> values(info->elements());
      EXPECT_TRUE(ReadFloat32(**source, *info, values).ok());
      return values;
    };
    EXPECT_THAT(read("w"), ElementsAre(0, 1, 2, 3, 4, 5));
    EXPECT_THAT(read("t"), ElementsAre(0, 3, 1, 4, 2, 5));
    EXPECT_THAT(read("c"), ElementsAre(1, 4));
  }
}

TEST_F(TorchFileTest, StoragesMustHaveTheirDeclaredSize) {
  Archive archive;
  archive.Add("m/data.pkl", OneTensor(Floats(6, 0, {2, 3}, {3, 1})));
  EXPECT_THAT(Refusal(archive.Bytes()), HasSubstr("tensor 'w'"));
  EXPECT_THAT(Refusal(archive.Bytes()), HasSubstr("'m/data/0' is missing"));
  archive.Add("m/data/0", FloatBytes({0, 1, 2, 3, 4}));
  EXPECT_THAT(Refusal(archive.Bytes()), HasSubstr("should have 24 bytes, the entry 'm/data/0' has 20"));
}

TEST_F(TorchFileTest, OtherKindsOfFileSayWhatToDo) {
  EXPECT_THAT(Refusal("\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19."s), HasSubstr("save it again"));
  EXPECT_THAT(Refusal("GGUF"), HasSubstr("no file of torch.save"));
  EXPECT_THAT(Refusal(""), HasSubstr("no file of torch.save"));
  Archive big_endian;
  big_endian.Add("m/data.pkl", DictOf(""));
  big_endian.Add("m/byteorder", "big");
  EXPECT_THAT(Refusal(big_endian.Bytes()), HasSubstr("byte order is 'big'"));
  Archive compressed;
  compressed.Add("m/data.pkl", "x", 8);
  EXPECT_THAT(Refusal(compressed.Bytes()), HasSubstr("compressed"));
  Archive encrypted;
  encrypted.Add("m/data.pkl", "x", 0, 1);
  EXPECT_THAT(Refusal(encrypted.Bytes()), HasSubstr("encrypted"));
  Archive nothing;
  nothing.Add("m/version", "3");
  EXPECT_THAT(Refusal(nothing.Bytes()), HasSubstr("no data.pkl"));
  Archive twice;
  twice.Add("m/data.pkl", "x");
  twice.Add("m/data.pkl", "x");
  EXPECT_THAT(Refusal(twice.Bytes()), HasSubstr("there twice"));
}

TEST_F(TorchFileTest, HostilePicklesAreRefusedWithTheFileNamed) {
  Archive archive;
  archive.Add("m/data.pkl", "\x80\x02" + Global("os", "system") + Text("id") + "\x85R.");
  EXPECT_THAT(Refusal(archive.Bytes()), HasSubstr("os.system"));
}

TEST_F(TorchFileTest, EveryTruncationIsRefusedAndFlipsNeverCrash) {
  for (const std::string& good : {Good().Bytes(), Good().Bytes64()}) {
    for (size_t size = 0; size < good.size(); ++size) EXPECT_NE(Refusal(good.substr(0, size)), "") << size;
    for (size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 0xff);
      const auto source = Open(bad);
      if (!source.ok()) continue;
      for (const TensorInfo& info : (*source)->tensors()) {  // What is accepted must also be readable.
        std::vector<float> values(info.elements());
        EXPECT_TRUE(ReadFloat32(**source, info, values).ok()) << i;
      }
    }
  }
}

TEST(GoldenPickle, FilesOfPyTorchAreRead) {
  const auto shared = testing::SharedDir();
  if (!shared) GTEST_SKIP() << "the folder shared/golden is not beside this checkout";
  struct Case {
    const char* name;
    const char* tensor;
    size_t tensors;
    double sum_of_squares;  // As Python's zipfile, struct and fsum give it.
  };
  const Case cases[] = {
      {"llama_attention_bias", "model.layers.1.self_attn.q_proj.weight", 29, 64.877399717957},
      {"internlm_7b", "model.layers.1.self_attn.q_proj.weight", 31, 63.8683454105075},
      {"gpt_bigcode_mqa", "transformer.h.0.mlp.c_proj.weight", 29, 62.84694292578758},
      {"chatglm2", "transformer.encoder.layers.1.self_attention.query_key_value.weight", 18,
       129.6747505520489},
      {"baichuan2_13b_alibi_normhead", "model.layers.1.self_attn.W_pack.weight", 17, 239.07179407751534},
  };
  for (const Case& expected : cases) {
    const auto source = OpenWeights(*shared / "golden" / expected.name);
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_EQ((*source)->tensors().size(), expected.tensors) << expected.name;
    const TensorInfo* tensor = (*source)->Find(expected.tensor);
    ASSERT_NE(tensor, nullptr) << expected.name;
    std::vector<float> values(tensor->elements());
    ASSERT_TRUE(ReadFloat32(**source, *tensor, values).ok());
    const double squares =
        std::inner_product(values.begin(), values.end(), values.begin(), 0.0, std::plus<>(),
                           [](float a, float b) { return static_cast<double>(a) * b; });
    EXPECT_NEAR(squares, expected.sum_of_squares, 1e-9) << expected.name;
  }
}

}  // namespace
}  // namespace ft::weights
