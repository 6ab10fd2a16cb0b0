"""A person's first use, in a pseudo-terminal: `ftctl run` in an empty home folder with no daemon, `ftctl chat`, Ctrl-C and
the same command again."""

import json
import os
import re
import shlex
import zipfile
from xml.sax.saxutils import escape

import daemons
import terminal

QUESTIONS = (
    ("When does the library open?", "The library opens at nine o'clock on weekdays and at ten on Saturdays."),
    ("How long may I keep a book?", "You may keep a book for four weeks and renew it twice."),
    ("What does a lost card cost?", "A new card costs five euros."),
    ("Where is the reading room?", "The reading room is on the second floor, beside the maps."),
    ("May I bring coffee?", "Coffee is welcome in the hall, but not in the reading room."),
    ("Can I print here?", "You can print at the desk; a page costs ten cents."),
    ("Who may borrow films?", "Everyone with a card who is over sixteen may borrow films."),
    ("Is there a place for children?", "Children have a room of their own on the ground floor."),
)
CONTENT_TYPES = """<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"""
RELATIONS = """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" Target="{target}"/></Relationships>"""
WORKBOOK = """<?xml version="1.0" encoding="UTF-8"?>
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">
<sheets><sheet name="Questions" sheetId="1" r:id="r1"/></sheets></workbook>"""


def write_workbook(path, rows, header=("Question", "Answer")):
    """A small .xlsx with inline strings."""
    lines = []
    for number, row in enumerate([header, *rows], 1):
        cells = "".join(f'<c r="{column}{number}" t="inlineStr"><is><t>{escape(text)}</t></is></c>'
                        for column, text in zip("AB", row))
        lines.append(f'<row r="{number}">{cells}</row>')
    sheet = ('<?xml version="1.0" encoding="UTF-8"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/'
             f'main"><sheetData>{"".join(lines)}</sheetData></worksheet>')
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("[Content_Types].xml", CONTENT_TYPES)
        book.writestr("_rels/.rels", RELATIONS.format(kind="officeDocument", target="xl/workbook.xml"))
        book.writestr("xl/workbook.xml", WORKBOOK)
        book.writestr("xl/_rels/workbook.xml.rels", RELATIONS.format(kind="worksheet", target="worksheets/sheet1.xml"))
        book.writestr("xl/worksheets/sheet1.xml", sheet)


def masked(text):
    """Text with its figures, paths and bars masked, white space of any length as one."""
    text = re.sub(r"[~/]\S*/qa\.xlsx|~/qa\.xlsx|[~/]\S+/finetuned", "PATH", text)
    text = re.sub(r"\bj[0-9a-f]{15,}", "ID", text)
    text = re.sub(r"(running|starting) on \S+", r"\1 on NODE", text)
    text = re.sub(r"\b\d+(\.\d+)?(ms|s|m|h|d)( \d+[smh])*\b|\b\d+(\.\d+)? (s|min|h)\b", "TIME", text)
    text = re.sub(r"[0-9]+(?:[.,][0-9]+)*(?:e[-+]?[0-9]+)?", "#", text)
    return " ".join(text.split())


def console_block(readme):
    """The transcript of the first use in a README."""
    with open(os.path.join(daemons.ROOT, readme), encoding="utf-8") as file:
        block = re.search(r"^```console\n(.*?)^```", file.read(), re.DOTALL | re.MULTILINE)
    if block is None:
        raise AssertionError(f"{readme} has no ```console block with a transcript of the first use")
    return block.group(1)


def transcript():
    """(command, lines shown) of the README's console block."""
    parts = []
    for line in console_block("README.md").splitlines():
        if line.startswith("$ "):
            parts.append((line[2:], []))
        elif line.strip():
            parts[-1][1].append(line)
    return parts


class RunPtyTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.home = os.path.join(self.folder, "home")
        self.work = os.path.join(self.folder, "work")
        os.mkdir(self.home)
        os.mkdir(self.work)

    def environment(self):
        return {"HOME": self.home, "PATH": f"{daemons.BIN}:{os.environ['PATH']}", "LANG": "C.UTF-8", "TERM": "xterm",
                daemons.MARK: self.folder}

    def open(self, *arguments):
        opened = terminal.Terminal([os.path.join(daemons.BIN, "ftctl"), *arguments], self.environment(), self.work)
        self.addCleanup(opened.close)
        return opened

    def processes(self):
        mark = f"{daemons.MARK}={self.folder}".encode()
        return [pid for pid in daemons.pids() if mark in daemons.read_proc(pid, "environ").split(b"\0")]

    def test_both_readmes_show_the_same_transcript(self):
        self.assertEqual(console_block("README.zh-CN.md"), console_block("README.md"))

    def test_the_readmes_transcript(self):
        model = self.need_demo_model()
        os.symlink(model, os.path.join(self.work, "SmolLM2-135M-Instruct.gguf"))
        write_workbook(os.path.join(self.work, "qa.xlsx"), QUESTIONS)
        for command, lines in transcript():
            words = shlex.split(command)
            self.assertEqual(words[0], "ftctl")
            shown = self.open(*words[1:])
            self.assertEqual(shown.finish(300), 0, shown.screen())
            screen = masked(shown.screen())
            at = 0
            for line in lines:
                if line.strip() == "...":
                    continue
                found = screen.find(masked(line), at)
                self.assertGreaterEqual(found, 0, f"`{command}` never shows\n{masked(line)}\nin\n{screen}")
                at = found + len(masked(line))
            self.assertEqual(self.processes(), [], "what was started is stopped")

    def test_chat_is_a_conversation(self):
        model = self.need_demo_model()
        chat = self.open("chat", model, "--max-new-tokens", "8")
        chat.expect("> ", 60)
        chat.send("Which city is the capital of France?\n")
        chat.expect("Paris", 120)
        chat.expect("> ", 60)
        chat.send("/reset\n")
        chat.expect("> ", 10)
        chat.send("/exit\n")
        self.assertEqual(chat.finish(20), 0)

    def test_interrupt_pauses_and_the_same_command_resumes(self):
        samples = daemons.random_samples(64)
        data = self.write_tokens(samples)
        steps = 60
        job = os.path.join(self.work, "job.yaml")
        with open(job, "w", encoding="utf-8") as file:
            json.dump(daemons.tokens_job("tokens", self.small_model(), data, **{
                "train.epochs": 1000, "train.max_steps": steps, "train.accumulation": 32}), file)
        first = self.open("run", job)
        first.expect(rf"[3-9]/{steps}\b", 60)
        first.send("\x03")
        first.expect("Pausing tokens", 10)
        saved = int(first.expect(r"saved at step (\d+)", 60).group(1))
        self.assertEqual(first.finish(60), 1)
        self.assertIn("The same command goes on from there.", first.screen())
        self.assertGreaterEqual(saved, 3)
        self.assertEqual(self.processes(), [], "what was started is stopped")
        second = self.open("run", job)
        second.expect(f"Resuming tokens from step {saved}", 60)
        second.expect("tokens succeeded", 120)
        self.assertEqual(second.finish(60), 0)
        self.assertEqual(self.processes(), [])


if __name__ == "__main__":
    daemons.main()
