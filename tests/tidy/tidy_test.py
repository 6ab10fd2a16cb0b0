"""Each check of tidy.py finds what it is for, in a tiny bad tree, and nothing in the same tree made good."""

import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import clang_format  # noqa: E402
import device_words  # noqa: E402
import tidy  # noqa: E402
from functions import Unbalanced, functions, kind_of  # noqa: E402
from tree import without_comments, without_directives  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = "# What this folder is for, in one line.\nft_library({} DEPS {})\n"


class TreeTest(unittest.TestCase):
    """Writes a project folder and runs one check over it."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, **files):
        for path, text in files["files"].items():
            full = os.path.join(self.folder.name, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)

    def findings(self, check, files):
        self.write(files=files)
        return [str(finding) for finding in
                tidy.run(check, self.folder.name, os.path.join(self.folder.name, "build"))]

    def assert_one(self, check, files, text):
        found = self.findings(check, files)
        self.assertEqual(len(found), 1, found)
        self.assertIn(text, found[0])

    def assert_clean(self, check, files):
        self.assertEqual(self.findings(check, files), [])


class SizesTest(TreeTest):
    def body(self, statements):
        return "int F(int a) {\n" + "  ++a;\n" * statements + "  return a;\n}\n"

    def test_function_length(self):
        self.assert_clean("function_length", {"core/a/a.cc": self.body(67)})
        self.assert_one("function_length", {"core/a/a.cc": self.body(68)}, "a.cc:1: F has 71 lines")

    def test_function_length_of_members_and_tests(self):
        member = "class A {\n public:\n  A() : x_{1} {\n" + "    ++x_;\n" * 80 + "  }\n  int x_;\n};\n"
        self.assert_one("function_length", {"core/a/a.h": member}, "a.h:3: A has 82 lines")
        test = "TEST(Suite, Case) {\n" + "  EXPECT_TRUE(true);\n" * 80 + "}\n"
        self.assert_one("function_length", {"core/a/a.h": "", "core/a/a_test.cc": test}, "TEST(Suite, Case) has 82")

    def test_function_length_of_python(self):
        self.assert_one("function_length", {"tests/x.py": "def f():\n" + "    pass\n" * 70}, "f has 71 lines")

    def test_unbalanced_file_is_a_finding(self):
        self.assert_one("function_length", {"core/a/a.cc": "int F() {\n"}, "cannot be scanned")

    def test_file_length(self):
        self.assert_clean("file_length", {"core/a/a.cc": "int a;\n" * 800})
        self.assert_one("file_length", {"core/a/a.cc": "int a;\n" * 801}, "has 801 lines")


class ScannerTest(unittest.TestCase):
    def names(self, text):
        return [function.name for function in functions(without_directives(without_comments(text)))]

    def test_kinds(self):
        for head, kind in [("namespace ft::a", "namespace"), ('extern ""', "namespace"), ("class A : public B", "type"),
                           ("enum class E : int", "type"), ("template <typename T, class U> struct S", "type"),
                           ("template <class T> T F(T a) const", "function"), ("auto F() -> StatusOr<int>", "function"),
                           ("A::A(int a) : a_(a), b_(a)", "function"), ("A::A(int a) : a_", "value"),
                           ("static const std::vector<int> kAll =", "value"), ("int x", "value"),
                           ("bool operator==(const A& a) const noexcept", "function"),
                           ("void F() ABSL_LOCKS_EXCLUDED(mu_)", "function"), ("struct alignas(64) Line", "type")]:
            self.assertEqual(kind_of(head), kind, head)

    def test_braces_in_text_do_not_count(self):
        text = 'void F() { G("}{", \'{\'); /* } */ }  // {\nconst char* k = R"x({ "{{)x";\nint n = 1\'000;\nvoid H() {}\n'
        self.assertEqual(self.names(text), ["F", "H"])

    def test_macros_and_initialisers_are_no_functions(self):
        text = "#define M(x) \\\n  do { \\\n  } while (0)\nint a[] = {1, 2};\nA::A() : b_{1}, c_{2} { D(); }\n"
        self.assertEqual(self.names(text), ["A::A"])

    def test_unbalanced(self):
        with self.assertRaises(Unbalanced):
            functions("}\n")


class DirectionsTest(TreeTest):
    def include(self, here, there):
        return {here: f'#include "{there}"\n', there: "#pragma once\n"}

    def test_forbidden(self):
        for here, there, text in [
                ("core/a/a.cc", "server/b/b.h", "core/ never includes server/"),
                ("core/a/a.cc", "kernels/nf4/nf4.h", "core/ never includes kernels/"),
                ("server/a/a.cc", "worker/node/agent/b.h", "server/ never includes worker/"),
                ("client/a/a.cc", "server/api/b.h", "client/ never includes server/"),
                ("worker/model/params/a.cc", "kernels/nf4/nf4.h", "worker/model/ops and worker/train/cuda only"),
                ("worker/node/agent/a.cc", "worker/node/supervisor/b.h", "smaller rows"),
                ("worker/node/agent/a.cc", "worker/rank/b.h", "uses core"),
                ("worker/model/decoder/a.cc", "worker/model/run/b.h", "smaller rows"),
                ("worker/model/run/a.cc", "worker/train/optim/b.h", "worker/model uses device"),
                ("worker/data/chat/a.cc", "worker/model/ops/b.h", "worker/data uses model/weights"),
                ("worker/rank/a.cc", "worker/node/agent/b.h", "worker/rank uses"),
                ("client/session/a.cc", "client/commands/b.h", "smaller rows"),
                ("client/stored/a.cc", "client/daemons/b.h", "smaller rows"),
                ("client/new/a.cc", "client/session/b.h", "has no row"),
                ("worker/new/a.cc", "worker/model/ops/b.h", "has no row"),
                ("worker/model/new/a.cc", "worker/model/ops/b.h", "has no row"),
                ("core/a/a.cc", "tests/support/b.h", "only tests"),
        ]:
            with self.subTest(here=here, there=there):
                self.folder.cleanup()
                self.folder = tempfile.TemporaryDirectory()
                self.addCleanup(self.folder.cleanup)
                self.assert_one("include_directions", self.include(here, there), text)

    def test_allowed(self):
        files = {}
        for here, there in [("server/a/a.cc", "core/base/b.h"), ("worker/model/ops/a.cc", "kernels/nf4/nf4.h"),
                            ("worker/train/trainer/a.cc", "worker/model/run/b.h"), ("worker/model/run/a.cc", "worker/model/run/b.h"),
                            ("worker/data/prepare/a.cc", "worker/model/weights/b.h"), ("worker/rank/a.cc", "worker/train/comm/b.h"),
                            ("client/commands/a.cc", "client/follow/b.h"), ("client/main.cc", "client/session/b.h"),
                            ("tests/e2e/a.cc", "server/state/b.h"), ("core/a/a_test.cc", "tests/support/b.h")]:
            files.update(self.include(here, there))
        self.assert_clean("include_directions", files)

    def test_grpc_stays_out_of_ranks(self):
        self.assert_one("include_directions", {"worker/rank/a.cc": "#include <grpcpp/grpcpp.h>\n"}, "without gRPC")

    def test_libtorch(self):
        self.assert_one("libtorch_folders", {"worker/data/readers/a.cc": "#include <torch/types.h>\n"}, "LibTorch stops")
        self.assert_one("libtorch_folders", {"worker/data/readers/a.cc": "", "worker/model/run/a.cc": "#include <torch/torch.h>\n"},
                        "take torch/types.h")
        self.assert_one("libtorch_folders", {"worker/model/run/a.cc": "", "core/b/CMakeLists.txt":
                                             "# What this folder is for.\nft_library(core_b TORCH)\n"}, "is TORCH")

    def test_torch_and_protobuf_in_one_unit(self):
        both = {"worker/model/run/a.cc": '#include <ATen/ATen.h>\n#include "worker/model/run/a.h"\n',
                "worker/model/run/a.h": "#include <google/protobuf/message.h>\n"}
        self.assert_one("torch_and_protobuf", both, "reads both")

    def test_precompiled_torch_counts(self):
        both = {"worker/model/run/a.cc": '#include "finetune/worker/v1/records.pb.h"\n',
                "worker/model/run/CMakeLists.txt": "# What this folder is for.\nft_library(worker_model_run TORCH)\n"}
        self.assert_one("torch_and_protobuf", both, "precompiled")


class DepsTest(TreeTest):
    def files(self, deps):
        return {"core/a/CMakeLists.txt": LIBRARY.format("core_a", ""), "core/a/a.h": "#pragma once\n",
                "core/b/CMakeLists.txt": LIBRARY.format("core_b", "core_a"), "core/b/b.h": "#pragma once\n",
                "server/c/CMakeLists.txt": LIBRARY.format("server_c", deps),
                "server/c/c.cc": '#include "core/a/a.h"\n#include "core/b/b.h"\n'}

    def test_transitive_deps_are_enough(self):
        self.assert_clean("include_deps", self.files("core_b"))

    def test_missing_dep(self):
        self.assert_one("include_deps", self.files("core_a"), "no DEPS that brings core_b")

    def test_test_deps_are_for_tests_only(self):
        files = self.files("core_b")
        files["tests/support/CMakeLists.txt"] = "# What this folder is for.\nadd_library(tests_support INTERFACE)\n"
        files["tests/support/t.h"] = "#pragma once\n"
        files["server/c/CMakeLists.txt"] = ("# What this folder is for.\n"
                                            "ft_library(server_c DEPS core_b TEST_DEPS tests_support)\n")
        files["server/c/c_test.cc"] = '#include "tests/support/t.h"\n'
        self.assert_clean("include_deps", files)
        files["server/c/d.cc"] = '#include "tests/support/t.h"\n'
        self.assert_one("include_deps", files, "server/c/d.cc:1")

    def test_generated_headers(self):
        files = {"proto/CMakeLists.txt": "# The wire contract of it all.\nft_proto_library(proto_api PROTOS f/v1/j.proto)",
                 "server/c/CMakeLists.txt": LIBRARY.format("server_c", "core_a"),
                 "server/c/c.cc": '#include "f/v1/j.pb.h"\n'}
        self.assert_one("include_deps", files, "proto_api")


class FilesTest(TreeTest):
    def test_naming(self):
        self.assert_one("naming", {"core/a/string_utils.h": ""}, "drawer")
        self.assert_one("naming", {"core/a/string_utils.h": "", "tests/tidy/allowed.txt":
                                   "naming core/a/string_utils.h a reason\n", "core/b/Big.cc": ""}, "snake_case")

    def test_header_flags(self):
        self.assert_one("header_flags", {"core/a/a.h": "#pragma once\n#ifdef FT_CUDA\n#endif\n"}, "a.h:2")

    def test_machine_paths(self):
        bad = "see /" + "home/somebody/x for more\n"
        self.assert_one("machine_paths", {"docs/a.md": bad}, "names a machine's folder")
        self.assert_clean("machine_paths", {"docs/a.md": "see ~/work/x, $HOME/work and shared/work/y\n"})

    def test_pragma_once(self):
        self.assert_one("pragma_once", {"core/a/a.h": "// Purpose.\n#include <string>\n"}, "no #pragma once")
        self.assert_clean("pragma_once", {"core/a/a.h": "// Purpose.\n\n#pragma once\n"})

    def test_cmake_lists(self):
        self.assert_one("cmake_lists", {"core/a/a.cc": ""}, "no CMakeLists.txt")
        self.assert_one("cmake_lists", {"core/a/a.cc": "", "core/a/CMakeLists.txt": "ft_library(core_a)\n"}, "comment")

    def test_unfinished(self):
        self.assert_one("unfinished", {"core/a/a.cc": "// TO" + "DO: later\n"}, "finish it")
        self.assert_one("unfinished", {"core/a/a.cc": "TEST(A, DISABLED" + "_B) {}\n"}, "finish it")

    def test_errors_table(self):
        self.assert_one("errors_table", {"core/a/a_test.cc": "TEST(A, B) {\n}\n"}, "is missing")
        head = "| input | message | test |\n|---|---|---|\n"
        self.assert_one("errors_table", {"docs/errors.md": head}, "has no rows")
        self.assert_one("errors_table", {"docs/errors.md": head + "| x | y | `A.C` |\n"}, "A.C, which does not exist")
        self.assert_one("errors_table", {"docs/errors.md": head + "| x | y | z |\n"}, "names no test")
        self.assert_clean("errors_table", {"docs/errors.md": head + "| x | y | `A.B` |\n"})


class LinksTest(TreeTest):
    def test_missing_programs_are_findings(self):
        self.assertEqual(len(self.findings("links", {})), 5)

    def test_forbidden_library(self):
        # A program that says what it links is all the check looks at: a copy of this machine's `true`.
        for name in tidy.PROGRAMS_WITHOUT_TORCH + tidy.PROGRAMS_WITHOUT_CUDA:
            self.write(files={f"build/bin/{name}": ""})
            source = os.path.realpath("/bin/true")
            with open(source, "rb") as read, open(os.path.join(self.folder.name, "build", "bin", name), "wb") as out:
                out.write(read.read())
            os.chmod(os.path.join(self.folder.name, "build", "bin", name), 0o755)
        self.assert_clean("links", {})
        original = subprocess.run

        def with_torch(command, **options):
            done = original(command, **options)
            done.stdout += "\tlibtorch_cpu.so => somewhere/libtorch_cpu.so (0x1)\n"
            return done

        tidy.subprocess.run = with_torch
        self.addCleanup(setattr, tidy.subprocess, "run", original)
        found = self.findings("links", {})
        self.assertEqual(len(found), 3, found)
        self.assertIn("links libtorch_cpu.so", found[0])


class FrontTest(TreeTest):
    def test_allowed_and_stale_permission(self):
        files = {"core/a/Big.cc": "", "tests/tidy/allowed.txt": "naming core/a/Big.cc its format is called so\n"}
        self.assert_clean("naming", files)
        files["tests/tidy/allowed.txt"] += "naming core/a/gone.cc it was there\n"
        self.assert_one("naming", files, "remove it")

    def test_exit_status(self):
        command = [sys.executable, os.path.join(HERE, "tidy.py")]
        self.write(files={"core/a/a.h": "int a;\n"})
        bad = subprocess.run(command + ["pragma_once", "--root", self.folder.name], capture_output=True, text=True,
                             timeout=60, check=False)
        self.assertEqual((bad.returncode, bad.stdout.count("\n")), (1, 1))
        usage = subprocess.run(command + ["no_such_check"], capture_output=True, timeout=60, check=False)
        self.assertEqual(usage.returncode, 2)
        listed = subprocess.run(command + ["--list"], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(listed.stdout.count("\n"), len(tidy.CHECKS))

    def test_every_check_is_registered_as_a_test(self):
        with open(os.path.join(HERE, "CMakeLists.txt"), encoding="utf-8") as file:
            words = file.read().split()
        for name in tidy.CHECKS:
            self.assertTrue(name in words or f"tidy.{name}" in words or f"{name})" in words, name)


class TranslationsTest(TreeTest):
    TEMPLATES = 'constexpr Template kAll[] = {\n    {"{0} holds no rows; "\n     "add one", "..."},\n};\n'

    def files(self, sentence):
        return {"worker/data/rows.cc": f"Status Rows() {{ return Error(StrCat(file, {sentence})); }}\n",
                "client/render/templates_data.cc": self.TEMPLATES}

    def test_sentences_that_are_said(self):
        for sentence in ('" holds no rows; add one"', '" holds no "\n  "rows; add one"', '" holds no ", noun, "rows; ", "add one"'):
            self.assertEqual(self.findings("translations", self.files(sentence)), [], sentence)

    def test_sentences_that_are_said_otherwise(self):
        self.assert_one("translations", self.files('" has no rows; add one"'), "templates_data.cc:2: nobody says")

    def test_sentences_of_ftctl_have_a_translation(self):
        files = {**self.files('" holds no rows; add one"'),
                 "client/commands/rows.cc": 'void Show() { PrintLine(StrCat(file, ": holds no rows; add one")); }\n'
                                            'void Log() { spdlog::info("no rows here"); }\n'}
        self.assertEqual(self.findings("translations", files), [])
        files["client/commands/rows.cc"] += 'void Say() { PrintLine("all rows "\n  "were read"); }  // No words of people.\n'
        self.assert_one("translations", files, "rows.cc:3: \"all rows were read\" has no template")


class WordsTest(TreeTest):
    WORDS = "# Words.\n\nkernels Larger -> Max\nworker/rank/a.cc Trouble -> a Status with its class\n"

    def files(self, **changes):
        return {"tests/tidy/words.txt": self.WORDS, "kernels/grid/grid.h": "struct Max {};\n", "worker/rank/a.cc": "", **changes}

    def test_a_replaced_identifier_is_named_with_its_replacement(self):
        self.assert_one("words", self.files(**{"kernels/grid/grid.h": "struct Max {};\nusing A = Fold<Larger>;\n"}),
                        "kernels/grid/grid.h:2: Larger is Max here")
        self.assert_one("words", self.files(**{"worker/rank/a.cc": "std::optional<Trouble> F();\n"}),
                        "Trouble is a Status with its class here")

    def test_macros_and_cuda_files_count(self):
        self.assert_one("words", self.files(**{"kernels/grid/a.cu": "#define FOLD(x) Larger(x)\n"}), "a.cu:1")

    def test_other_folders_longer_identifiers_comments_and_literals_are_free(self):
        self.assert_clean("words", self.files(**{
            "kernels/grid/grid.h": '// Larger.\nint IsLarger(), Larger_, kLarger; /* Larger */ const char* a = "Larger";\n',
            "kernelside/a.cc": "int Larger;\n", "worker/rank/a_test.cc": "Trouble a;\n", "server/a/a.cc": "int Larger;\n"}))

    def test_the_whole_project_may_be_named(self):
        files = self.files(**{"tests/tidy/words.txt": ". Larger -> Max\n", "server/a/a.cc": "int Larger;\n"})
        self.assert_one("words", files, "server/a/a.cc:1")

    def test_lines_that_check_nothing_are_findings(self):
        self.assert_one("words", self.files(**{"tests/tidy/words.txt": "kernels Larger Max\n"}), "words.txt:1: is not 'FOLDER")
        self.assert_one("words", self.files(**{"tests/tidy/words.txt": "kernels a::B -> Max\n"}), "words.txt:1: is not 'FOLDER")
        self.assert_one("words", self.files(**{"tests/tidy/words.txt": "kernel Larger -> Max\n"}), "words.txt:1: there is no kernel:")
        self.assert_one("words", self.files(**{"tests/tidy/words.txt": "kernels A -> B\nkernels/ A -> C\n"}),
                        "words.txt:2: says again what line 1 says")
        os.remove(os.path.join(self.folder.name, "tests", "tidy", "words.txt"))
        self.assert_one("words", {}, "words.txt: is missing")


class FamiliesTest(TreeTest):
    FAMILY = 'const Family rows[] = {{.model_type = "qwen2"}, {.model_type = "gpt_bigcode"}};\n'

    def files(self, path, text):
        return {"worker/model/decoder/family_qwen.cc": self.FAMILY, path: text}

    def test_no_other_code_says_a_familys_name(self):
        for text, name in [("if (IsQwen2(config)) F();", "IsQwen2"), ('if (config.family == "gpt_bigcode") F();', "gpt_bigcode"),
                           ("bool qwen = true;", "qwen")]:
            with self.subTest(text=text):
                self.folder.cleanup()
                self.folder = tempfile.TemporaryDirectory()
                self.addCleanup(self.folder.cleanup)
                self.assert_one("families", self.files("worker/train/trainer/a.cc", text), f"says {name}:")

    def test_files_of_families_comments_and_names_of_formats_may(self):
        for path, text in [("worker/train/trainer/a.cc", "// As qwen2 does.\nint x;"), ("worker/model/decoder/families.h", "int qwen;"),
                           ("worker/data/chat/a.cc", 'auto t = "qwen2";'), ("client/job/a.cc", "int qwen2;")]:
            self.assert_clean("families", self.files(path, text))

    def test_a_family_is_a_short_file(self):
        self.assert_one("families", {"worker/model/decoder/family_long.cc": "int x;\n" * 151}, "has 151 lines")
        self.assert_clean("families", {"worker/model/decoder/family_long.cc": "int x;\n" * 150})


class DeviceWordsTest(TreeTest):
    def files(self, path, text):
        return {**{f"{folder}/clean.cc": "" for folder, *_ in device_words.RULES}, path: text}

    def refused(self, path, text, name):
        with self.subTest(path=path, text=text):
            self.folder.cleanup()
            self.folder = tempfile.TemporaryDirectory()
            self.addCleanup(self.folder.cleanup)
            self.assert_one("device_words", self.files(path, text), f"says {name}:")

    def test_mathematics_names_no_device_rank_or_format(self):
        for text, name in [("if (x.is_cuda()) F();", "is_cuda"), ("auto d = at::kCUDA;", "kCUDA"), ("CudaTable t;", "CudaTable"),
                           ("cudaStream_t s;", "cudaStream_t"), ("comm::NcclComm c;", "NcclComm"), ("int zero_stage = 3;", "zero_stage"),
                           ("if (kZero3) F();", "kZero3"), ("if (spec.zero > 1) F();", "zero"), ("if (comm.rank() == 0) F();", "rank"),
                           ("int rank_ = 0;", "rank_"), ("int n = world_size;", "world_size"), ("Nf4Slot s;", "Nf4Slot"),
                           ('if (device == "cuda") F();', "cuda"), ("#include <c10/cuda/CUDAStream.h>", "cuda"),
                           ('#include "worker/train/comm/nccl_api.h"', "nccl_api"), ("#define F(x) GPU(x)", "GPU"),
                           ("ShardedTensor t;", "ShardedTensor")]:
            if name == "cuda" and text.startswith("#"):
                self.assertEqual(len(self.findings("device_words", self.files("worker/model/decoder/a.cc", text))), 2)
            else:
                self.refused("worker/model/decoder/a.cc", text, name)

    def test_the_step_and_the_runner_name_no_device_or_stage(self):
        for path in ("worker/train/trainer/trainer.cc", "worker/model/run/block_runner.h"):
            self.refused(path, "if (store.value(0).is_cuda()) Synchronize();", "is_cuda")
            self.refused(path, "if (plan.zero_stage == 3) Gather();", "zero_stage")
            self.refused(path, "GlooComm comm;", "GlooComm")
        self.refused("worker/model/run/a.cc", "int own = layers / ranks;", "ranks")
        self.refused("worker/train/optim/a.cc", "switch (stage) {}", "stage")
        self.refused("worker/model/params/a.cc", "switch (stage) {}", "stage")

    def test_the_rank_of_a_matrix_zeros_and_where_tensors_lie_are_free(self):
        for path, text in [("worker/model/decoder/a.cc", "int lora_rank, kv_lora_rank, q_lora_rank;"),
                           ("worker/model/run/a.h", "int rank = 8;"), ("worker/train/trainer/a.cc", "const bool keeps = comm.rank() == 0;"),
                           ("worker/train/trainer/a.cc", "int n = recipe::MaxRanks(job.parallel.ranks);"),
                           ("worker/model/run/a.cc", "auto t = at::zeros_like(x).zero_().to(y.device()); store.ZeroGradients();"),
                           ("worker/model/decoder/a.cc", '// On CUDA.\nauto s = StrCat("no CUDA here, rank ", n);'),
                           ("worker/model/ops/a.cc", "if (x.is_cuda()) F();"), ("worker/model/params/a.cc", "Nf4Slot s(at::kCUDA);"),
                           ("worker/model/run/a_test.cc", "SpawnRanks(ranks, at::kCUDA);"), ("worker/train/cuda/a.cc", "cudaStream_t s;")]:
            self.assert_clean("device_words", self.files(path, text))

    def test_a_folder_that_moved_away_is_a_finding(self):
        files = self.files("worker/model/decoder/a.cc", "")
        del files["worker/train/optim/clean.cc"]
        self.assert_one("device_words", files, "has a rule for worker/train/optim, where no C++ lies")

    def test_words_of_an_identifier(self):
        for name, words in [("is_cuda", {"is", "cuda"}), ("kCUDA", {"k", "cuda"}), ("CUDAGraph", {"cuda", "graph"}),
                            ("cudaStream_t", {"cuda", "stream", "t"}), ("kZero3", {"k", "zero3"}), ("ZERO3", {"zero3"}),
                            ("Nf4Slot", {"nf4", "slot"}), ("barracuda", {"barracuda"}), ("x_NC", {"x", "nc"})]:
            self.assertEqual(device_words.words_of(name), words, name)


class ChecklistsTest(TreeTest):
    FILES = {"core/recipe/schema.h": "", "worker/data/readers/a.cc": ""}

    def test_paths_that_are_there_and_words_that_are_none(self):
        text = "1. `core/recipe/schema.h` and `worker/data/`, `worker/data/readers`: `a/b`, `make test`, `core/<new>/x.h`, `x.h`.\n"
        self.assert_clean("checklists", {**self.FILES, "docs/checklists/new.md": text})

    def test_a_path_that_is_gone(self):
        text = "# List\n1. `core/recipe/scheme.h`: a line.\n"
        self.assert_one("checklists", {**self.FILES, "docs/checklists/new.md": text}, "new.md:2: names core/recipe/scheme.h")
        text = "# List\n1. `worker/data/reader/`.\n"
        self.assert_one("checklists", {"docs/checklists/new.md": text}, "new.md:2: names worker/data/reader/, which")


class FormatTest(TreeTest):
    def with_program(self, version, said="", status=0, name="clang-format"):
        """A folder as PATH that holds a clang-format which says this of every file."""
        self.write(files={f"path/{name}": f'#!/bin/sh\nif [ "$1" = --version ]; then echo "Debian clang-format version {version}"; exit; fi\n'
                                          f'printf "%s" "{said}" >&2; exit {status}\n'})
        folder = os.path.join(self.folder.name, "path")
        os.chmod(os.path.join(folder, name), 0o755)
        return mock.patch.dict(os.environ, PATH=folder)

    def test_without_the_right_version_it_says_that_it_was_skipped(self):
        command = [sys.executable, "-B", os.path.join(HERE, "tidy.py"), "format", "--root", self.folder.name]
        os.makedirs(os.path.join(self.folder.name, "path"))
        for reason, version in [("is not installed", None), ("is version 15 here, and the files are laid out by 14", "15.0.7")]:
            path = self.with_program(version) if version else mock.patch.dict(os.environ, PATH=os.path.join(self.folder.name, "path"))
            with path:
                done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertRegex(done.stdout, f"^format: skipped: clang-format {reason}: apt-get install clang-format-14\n$")

    def test_the_version_in_the_name_is_preferred(self):
        with self.with_program("15.0.7"), self.with_program("14.0.6", name="clang-format-14"):
            self.assertTrue(clang_format.find().endswith("/clang-format-14"))

    def test_a_file_is_one_finding_whatever_its_places(self):
        said = ("core/a/a.cc:3:7: error: code should be clang-formatted [-Wclang-format-violations]\nint  a;\n"
                "core/a/a.cc:9:1: error: code should be clang-formatted [-Wclang-format-violations]\n")
        with self.with_program("14.0.6", said, 1):
            self.assert_one("format", {"core/a/a.cc": "int a;\n"}, "core/a/a.cc:3: is not as clang-format lays it out, in 2 place(s)")

    def test_a_clang_format_that_fails_is_no_clean_tree(self):
        with self.with_program("14.0.6", "cannot read .clang-format", 1), self.assertRaisesRegex(RuntimeError, "cannot read"):
            self.findings("format", {"core/a/a.cc": "int a;\n"})

    def test_the_real_program_finds_and_mends(self):
        try:
            program = clang_format.find()
        except clang_format.Missing as error:
            self.skipTest(str(error))
        files = {".clang-format": "BasedOnStyle: Google\n", **{f"core/a/f{i}.cu": "int a;\n" for i in range(90)}}
        self.assert_clean("format", files)
        self.assert_one("format", {"core/a/f41.cu": "int a;\nint   b ;\n"}, "core/a/f41.cu:2: is not as clang-format")
        subprocess.run([program, "-i", "core/a/f41.cu"], cwd=self.folder.name, timeout=60, check=True)
        self.assert_clean("format", {})


if __name__ == "__main__":
    unittest.main()
