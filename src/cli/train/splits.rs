//! The photographs of a folder, and what each is used for.

use std::{collections::HashMap, fs, path::Path};

use crate::{
    cli::{
        analyze::inputs,
        error::{Exit, Failure},
        folder,
        picture_type::PictureType,
    },
    nn::{
        data::sources::{Source, Split},
        preprocessing::CROP,
        training::Sources,
    },
};

/// Reads a folder's pictures that are large enough; those that lists name, where there are some.
///
/// # Errors
/// If something cannot be read, or a split has no picture.
pub fn read(data: &Path, lists: Option<&Path>) -> Result<Sources, Failure> {
    let lists = lists.map(read_lists).transpose()?;
    let [mut train, mut validation, mut test] = [const { Vec::new() }; 3];
    for path in folder::files(data)?.into_iter().filter(|path| PictureType::of_path(path).is_some()) {
        let name = path.to_string_lossy().into_owned();
        let split = match &lists {
            None => Split::of_name(&name),
            Some(lists) => match lists.get(&name) {
                Some(&split) => split,
                None => continue,
            },
        };
        let picture = inputs::read(&data.join(&path))?.picture;
        if picture.width < CROP || picture.height < CROP {
            eprintln!("chaosveil: {name} is smaller than {CROP} x {CROP} and left out");
            continue;
        }
        let split = match split {
            Split::Train => &mut train,
            Split::Validation => &mut validation,
            Split::Test => &mut test,
        };
        split.push(Source { name, picture });
    }
    for (split, sources) in Split::ALL.into_iter().zip([&train, &validation, &test]) {
        if sources.is_empty() {
            let message = format!("{} holds no picture for the split `{}`", data.display(), split.suffix());
            return Err(Failure::new(Exit::Missing, message)
                .advise("give more pictures, or lists of their names with --splits"));
        }
    }
    Ok(Sources { train, validation, test })
}

/// File names by split. Lists of other folders do no harm.
fn read_lists(folder: &Path) -> Result<HashMap<String, Split>, Failure> {
    let mut splits = HashMap::new();
    for path in folder::files(folder)? {
        let name = path.to_string_lossy();
        let Some(split) = Split::ALL.into_iter().find(|split| name.ends_with(&format!("{}.txt", split.suffix())))
        else {
            continue;
        };
        let path = folder.join(&path);
        let list = fs::read_to_string(&path).map_err(|error| Failure::io(path.display(), error))?;
        for name in list.lines().map(str::trim).filter(|name| !name.is_empty()) {
            if splits.insert(name.to_owned(), split).is_some_and(|other| other != split) {
                return Err(Failure::new(Exit::Content, format!("{}: {name} is in two splits", path.display()))
                    .advise("a picture is in one split only, or the result says nothing"));
            }
        }
    }
    Ok(splits)
}
