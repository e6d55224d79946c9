from appliance.site.vllm import Engine, chat, embedder, environment

ENGINE = Engine("/v/bin/python", "/models/m", "name", "/run/x.sock")


def test_an_engine_listens_on_a_unix_socket_only() -> None:
    for argv in (chat(ENGINE), embedder(ENGINE)):
        assert argv[argv.index("--uds") + 1] == "/run/x.sock"
        assert not {"--host", "--port"} & set(argv)


def test_a_model_folder_is_read_in_the_format_of_mistral() -> None:
    argv = " ".join(chat(ENGINE))

    for option in ("--tokenizer-mode", "--config-format", "--load-format"):
        assert f"{option} mistral" in argv


def test_the_embedder_pools() -> None:
    assert "--runner pooling" in " ".join(embedder(ENGINE))


def test_nothing_is_looked_up_or_told_outside() -> None:
    silent = environment("/home", "/run")

    assert silent["HF_HUB_OFFLINE"] == silent["TRANSFORMERS_OFFLINE"] == "1"
    assert silent["VLLM_NO_USAGE_STATS"] == silent["DO_NOT_TRACK"] == "1"


def test_what_an_engine_leaves_when_it_is_killed_is_not_among_the_files_of_others() -> None:
    assert environment("/home", "/run")["TMPDIR"] == "/run"
    assert "TMPDIR" in environment("/home", "/" + "x" * 69)
    assert "TMPDIR" not in environment("/home", "/" + "x" * 70)
