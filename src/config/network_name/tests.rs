use super::*;

#[test]
fn a_name_reads_back_as_it_was_written() {
    for text in [
        "plain-8",
        "plain-20",
        "resnet-56",
        "resnet-1202",
        "resnet-20b",
        "resnet-20c",
        "highway-19",
        "plain-18",
        "resnet-34c",
        "resnet-50-v1.5",
        "vgg-19",
        "googlenet-aux",
        "preact-resnet-1001",
    ] {
        assert_eq!(text.parse::<NetworkName>().unwrap().to_string(), text);
    }
    assert_eq!(
        "resnet-20a".parse::<NetworkName>().unwrap(),
        NetworkName::residual(20),
        "option A is the paper's on CIFAR-10"
    );
}

#[test]
fn tables_list_nets_without_shortcuts_first_then_residual_nets_by_option_each_by_depth() {
    let ordered = [
        "vgg-16",
        "plain-18",
        "vgg-19",
        "plain-20",
        "googlenet",
        "googlenet-aux",
        "plain-50",
        "plain-50-v1.5",
        "resnet-20",
        "resnet-50",
        "resnet-50-v1.5",
        "resnet-110",
        "resnet-20b",
        "resnet-20c",
        "preact-resnet-110",
        "preact-resnet-164",
        "highway-19",
    ]
    .map(|text| text.parse::<NetworkName>().unwrap());
    let mut sorted = ordered;
    sorted.reverse();
    sorted.sort();
    assert_eq!(sorted, ordered);
}

#[test]
fn more_layers_than_10000_are_refused_by_the_name_alone() {
    assert!("resnet-9998".parse::<NetworkName>().is_ok());
    for text in ["resnet-10004", "plain-99999998", "resnet-18446744073709551614"] {
        let message = text.parse::<NetworkName>().unwrap_err().0;
        assert!(message.contains("at most 10000 layers"), "{message}");
    }
}

#[test]
fn a_mistyped_network_is_refused_with_the_nearest_right_spelling() {
    for (text, meant) in [
        ("resent-20", "resnet-20"),
        ("resnet20", "resnet-20"),
        ("ResNet-50", "resnet-50"),
        ("vgg19", "vgg-19"),
        ("plain_56", "plain-56"),
        ("googlnet", "googlenet"),
    ] {
        let message = text.parse::<NetworkName>().unwrap_err().0;
        assert!(message.contains(&format!("did you mean {meant}?")), "{message}");
    }
    let message = "alexnet".parse::<NetworkName>().unwrap_err().0;
    assert!(!message.contains("did you mean"), "{message}");
}

#[test]
fn an_unknown_network_and_a_depth_that_is_not_6n_plus_2_are_refused() {
    for text in [
        "vgg-17",
        "highway-19-v1.5",
        "resnet-50-v1",
        "resnet",
        "resnet-",
        "resnet-x",
        "plain--8",
        "resnet20",
        "plain-20b",
        "resnet-20d",
        "resnet-20bb",
        "preact-resnet-110b",
        "preact-110",
    ] {
        assert!(text.parse::<NetworkName>().unwrap_err().0.contains("unknown network"), "{text}");
    }
    assert!(
        "resnet-34-v1.5".parse::<NetworkName>().unwrap_err().0.contains("only bottleneck networks")
    );
    assert!("resnet-50a".parse::<NetworkName>().unwrap_err().0.contains("write resnet-50"));
    let message = "resnet-57".parse::<NetworkName>().unwrap_err().0;
    assert!(
        message.contains("6n+2") && message.contains("56") && message.contains("62"),
        "{message}"
    );
    assert!(
        "resnet-34-v1.5"
            .parse::<NetworkName>()
            .unwrap_err()
            .0
            .contains("only bottleneck networks have a v1.5: 50, 101, 152")
    );
    assert!(
        "plain-2".parse::<NetworkName>().is_err() && "highway-20".parse::<NetworkName>().is_err()
    );
}
