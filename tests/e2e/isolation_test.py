"""What a running rank has loaded, and what the daemons do not: no CUDA on a CPU node, no LibTorch outside the rank."""

import os
import re
import shutil
import subprocess

import daemons

FORBIDDEN = re.compile(r"libtorch_cuda|libc10_cuda|libcublas|libcudnn|libnccl|libft_cuda")


class IsolationTest(daemons.DaemonTest):
    def libraries(self, pid):
        lines = daemons.read_proc(pid, "maps").decode("utf-8", "replace").splitlines()
        return sorted({line.split(None, 5)[5] for line in lines if len(line.split(None, 5)) == 6 and ".so" in line})

    def test_a_cpu_rank_maps_nothing_of_cudas_compute(self):
        node = self.daemons()
        data = self.write_tokens(daemons.random_samples(64))
        job = daemons.tokens_job("job", self.small_model(), data,
                                 **{"train.epochs": 100000, "train.max_steps": 100000, "train.accumulation": 16})
        name = node.submit(job)
        rank = node.training_rank(name)
        node.wait_step(name, 2)
        mapped = self.libraries(rank)
        self.assertTrue(any("libtorch_cpu" in path for path in mapped), "it is the trainer that was looked at")
        self.assertEqual([path for path in mapped if FORBIDDEN.search(path)], [])
        for pid in (node.coordinator.pid, node.worker.pid, node.agent_pid()):
            mapped = self.libraries(pid)
            self.assertTrue(mapped)
            self.assertEqual([path for path in mapped if re.search(r"libtorch|libc10|libcuda|" + FORBIDDEN.pattern, path)], [])
        node.ftctl("cancel", name)

    def test_daemons_and_client_link_neither_torch_nor_cuda(self):
        for program in ("finetuned", "ft-worker", "ftctl"):
            done = subprocess.run(["ldd", os.path.join(daemons.BIN, program)], capture_output=True, text=True, timeout=30,
                                  check=True)
            self.assertNotRegex(done.stdout, r"libtorch|libc10|libcuda|libcublas|libcudnn|libnccl|not found")

    def test_a_link_inside_a_model_folder_does_not_lead_out_of_the_roots(self):
        roots, model = os.path.join(self.folder, "roots"), os.path.join(self.folder, "roots", "model")
        shutil.copytree(self.small_model(), model)
        outside = os.path.join(self.folder, "config.json")
        shutil.copy(os.path.join(model, "config.json"), outside)
        data = os.path.join(roots, "tokens.jsonl")
        os.rename(self.write_tokens(daemons.random_samples(8)), data)
        config = os.path.join(self.folder, "finetuned.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"roots: [{roots}]\n")
        node = self.daemons(coordinator_arguments=["--config", config])
        node.train(daemons.tokens_job("inside", model, data))
        os.chmod(model, 0o755)
        os.remove(os.path.join(model, "config.json"))
        os.symlink(outside, os.path.join(model, "config.json"))
        name = node.submit(daemons.tokens_job("link", model, data))
        failure = node.wait_state(name, "FAILED", 60)["failure"]
        self.assertIn("config.json lies outside the folders this worker may read", failure["message"])

    def test_the_sockets_are_for_their_user_only(self):
        node = self.daemons()
        for path in (node.socket, node.worker_socket):
            self.assertEqual(os.stat(path).st_mode & 0o077, 0, path)
        self.assertEqual(os.stat(node.data).st_mode & 0o077, 0)


if __name__ == "__main__":
    daemons.main()
