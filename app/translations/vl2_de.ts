<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de_DE" sourcelanguage="en_GB">
<context>
    <name>AnswerFacts</name>
    <message>
        <source>first word {seconds} s</source>
        <translation>erstes Wort {seconds} s</translation>
    </message>
    <message>
        <source>{count} tokens/s</source>
        <translation>{count} Token/s</translation>
    </message>
    <message>
        <source>{count} picture</source>
        <translation>{count} Bild</translation>
    </message>
    <message>
        <source>{count} sound</source>
        <translation>{count} Ton</translation>
    </message>
    <message>
        <source>{count} text</source>
        <translation>{count} Text</translation>
    </message>
    <message>
        <source>{counts} tokens</source>
        <translation>{counts}-Token</translation>
    </message>
    <message>
        <source>The answer ended at its longest length; set a longer one and ask again.</source>
        <translation>Die Antwort endet bei ihrer größten Länge; stellen Sie eine größere ein und fragen Sie noch einmal.</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Modell</translation>
    </message>
    <message>
        <source>Bundle</source>
        <translation>Bundle</translation>
    </message>
    <message>
        <source>Ran on</source>
        <translation>Gerechnet auf</translation>
    </message>
    <message>
        <source>Words chosen</source>
        <translation>Wortwahl</translation>
    </message>
    <message>
        <source>Frames seen at</source>
        <translation>Bilder gesehen bei</translation>
    </message>
    <message>
        <source>none</source>
        <translation>keine</translation>
    </message>
    <message>
        <source>Sound heard</source>
        <translation>Ton gehört</translation>
    </message>
    <message>
        <source>{asked} read, {written} written</source>
        <translation>{asked} gelesen, {written} geschrieben</translation>
    </message>
    <message>
        <source>Tokens</source>
        <translation>Token</translation>
    </message>
    <message>
        <source>always the likeliest, so the same again each time</source>
        <translation>immer das wahrscheinlichste, also jedes Mal dasselbe</translation>
    </message>
    <message>
        <source>by chance, temperature {temperature}, seed {seed}</source>
        <translation>durch Zufall, Temperatur {temperature}, Startwert {seed}</translation>
    </message>
    <message>
        <source>{times} and {count} more</source>
        <translation>{times} und {count} weitere</translation>
    </message>
    <message>
        <source>{times} s</source>
        <translation>{times} s</translation>
    </message>
</context>
<context>
    <name>AskOptionsBar</name>
    <message>
        <source>Number of frames</source>
        <translation>Anzahl der Bilder</translation>
    </message>
    <message>
        <source>How words are chosen</source>
        <translation>Wie Wörter gewählt werden</translation>
    </message>
    <message>
        <source>Picture + sound</source>
        <translation>Bild + Ton</translation>
    </message>
    <message>
        <source>Picture</source>
        <translation>Bild</translation>
    </message>
    <message>
        <source>Sound</source>
        <translation>Ton</translation>
    </message>
    <message>
        <source>How words are chosen: temperature, seed, longest answer</source>
        <translation>Wie Wörter gewählt werden: Temperatur, Startwert, längste Antwort</translation>
    </message>
    <message>
        <source>{what} (changed)</source>
        <translation>{what} (geändert)</translation>
    </message>
    <message>
        <source> frames</source>
        <translation> Bilder</translation>
    </message>
    <message>
        <source>Pictures taken from the clip, spread evenly. The model was trained with {trained}; more take longer and see shorter events.</source>
        <translation>Bilder, die gleichmäßig verteilt aus dem Clip genommen werden. Trainiert wurde das Modell mit {trained}; mehr dauern länger und zeigen auch kurze Ereignisse.</translation>
    </message>
    <message>
        <source>This clip has no moving picture.</source>
        <translation>Dieser Clip hat kein bewegtes Bild.</translation>
    </message>
    <message>
        <source>Only the sound is asked about.</source>
        <translation>Gefragt wird nur nach dem Ton.</translation>
    </message>
    <message>
        <source>This model does not take sound.</source>
        <translation>Dieses Modell nimmt keinen Ton.</translation>
    </message>
    <message>
        <source>This clip has no sound.</source>
        <translation>Dieser Clip hat keinen Ton.</translation>
    </message>
    <message>
        <source>This clip has no picture.</source>
        <translation>Dieser Clip hat kein Bild.</translation>
    </message>
    <message>
        <source>The model gets the picture and the sound.</source>
        <translation>Das Modell bekommt Bild und Ton.</translation>
    </message>
    <message>
        <source>The model gets the picture alone.</source>
        <translation>Das Modell bekommt nur das Bild.</translation>
    </message>
    <message>
        <source>The model gets the sound alone.</source>
        <translation>Das Modell bekommt nur den Ton.</translation>
    </message>
</context>
<context>
    <name>BuildDialog</name>
    <message>
        <source>Build a model from a checkpoint</source>
        <translation>Modell aus einem Checkpoint bauen</translation>
    </message>
    <message>
        <source>Build</source>
        <translation>Bauen</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>Anhalten</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>Fortsetzen</translation>
    </message>
    <message>
        <source>Runs the same command again; what it has kept is not done twice.</source>
        <translation>Führt denselben Befehl noch einmal aus; was er behalten hat, wird nicht doppelt gemacht.</translation>
    </message>
    <message>
        <source>Use this model</source>
        <translation>Modell verwenden</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
    <message>
        <source>Progress of the build</source>
        <translation>Fortschritt des Bauens</translation>
    </message>
    <message>
        <source>Log of the build</source>
        <translation>Protokoll des Bauens</translation>
    </message>
    <message>
        <source>Go on in the background</source>
        <translation>Im Hintergrund weiter</translation>
    </message>
    <message>
        <source>Starting</source>
        <translation>Wird gestartet</translation>
    </message>
    <message>
        <source>{done}, about {time} left</source>
        <translation>{done}, noch etwa {time}</translation>
    </message>
    <message>
        <source>Stopping; what is finished is kept.</source>
        <translation>Wird angehalten; Fertiges bleibt.</translation>
    </message>
    <message>
        <source>Stopped.</source>
        <translation>Angehalten.</translation>
    </message>
    <message>
        <source>Done: built, compared with the reference, and ready to use.</source>
        <translation>Fertig: gebaut, mit der Referenz verglichen und bereit.</translation>
    </message>
    <message>
        <source>It failed: {reason}</source>
        <translation>Fehlgeschlagen: {reason}</translation>
    </message>
</context>
<context>
    <name>BuildForm</name>
    <message>
        <source>Checkpoint folder</source>
        <translation>Checkpoint-Ordner</translation>
    </message>
    <message>
        <source>A Hugging Face folder with config.json</source>
        <translation>Ein Hugging-Face-Ordner mit config.json</translation>
    </message>
    <message>
        <source>Bundle to be made</source>
        <translation>Bundle, das entsteht</translation>
    </message>
    <message>
        <source>Weights that share a scale</source>
        <translation>Gewichte mit gemeinsamer Skala</translation>
    </message>
    <message>
        <source>the largest that fits</source>
        <translation>so viele wie möglich</translation>
    </message>
    <message>
        <source>Replace a bundle of this name</source>
        <translation>Bundle dieses Namens ersetzen</translation>
    </message>
    <message>
        <source>Choose the folder of a checkpoint.</source>
        <translation>Wählen Sie den Ordner eines Checkpoints.</translation>
    </message>
    <message>
        <source>This folder holds no config.json, so it is not a checkpoint.</source>
        <translation>In diesem Ordner liegt keine config.json, er ist also kein Checkpoint.</translation>
    </message>
    <message>
        <source>Say where the bundle goes.</source>
        <translation>Geben Sie an, wo das Bundle liegen soll.</translation>
    </message>
    <message>
        <source>A bundle of this name exists; choose another name or replace it.</source>
        <translation>Ein Bundle dieses Namens gibt es schon; wählen Sie einen anderen Namen oder ersetzen Sie es.</translation>
    </message>
    <message>
        <source>4 bits (recommended)</source>
        <translation>4 Bit (empfohlen)</translation>
    </message>
    <message>
        <source>The language model in 4 bits, the rest in 16: smallest and fastest.</source>
        <translation>Das Sprachmodell in 4 Bit, der Rest in 16: am kleinsten und am schnellsten.</translation>
    </message>
    <message>
        <source>16 bits</source>
        <translation>16 Bit</translation>
    </message>
    <message>
        <source>Four times as large as 4 bits, practically the published numbers.</source>
        <translation>Viermal so groß wie 4 Bit, praktisch die veröffentlichten Zahlen.</translation>
    </message>
    <message>
        <source>32 bits</source>
        <translation>32 Bit</translation>
    </message>
    <message>
        <source>The reference&apos;s own numbers, for comparing; eight times as large.</source>
        <translation>Genau die Zahlen der Referenz, zum Vergleichen; achtmal so groß.</translation>
    </message>
    <message>
        <source>How weights are stored</source>
        <translation>Wie Gewichte gespeichert werden</translation>
    </message>
    <message>
        <source>Weights that share a scale:</source>
        <translation>Gewichte mit gemeinsamer Skala:</translation>
    </message>
    <message>
        <source>Choose…</source>
        <translation>Auswählen …</translation>
    </message>
    <message>
        <source>Choose: {what}</source>
        <translation>Auswählen: {what}</translation>
    </message>
</context>
<context>
    <name>ChatPane</name>
    <message>
        <source>Conversation</source>
        <translation>Unterhaltung</translation>
    </message>
    <message>
        <source>Next: {questions}</source>
        <translation>Als Nächstes: {questions}</translation>
    </message>
    <message>
        <source>Stop the answer</source>
        <translation>Antwort anhalten</translation>
    </message>
    <message>
        <source>Edit the last question</source>
        <translation>Letzte Frage bearbeiten</translation>
    </message>
    <message>
        <source>Answer the last question again</source>
        <translation>Letzte Frage noch einmal beantworten</translation>
    </message>
    <message>
        <source>Copy the last answer</source>
        <translation>Letzte Antwort kopieren</translation>
    </message>
    <message>
        <source>Copy the last answer as Markdown</source>
        <translation>Letzte Antwort als Markdown kopieren</translation>
    </message>
    <message>
        <source>Show the last answer’s receipt</source>
        <translation>Beleg der letzten Antwort zeigen</translation>
    </message>
    <message>
        <source>Copy the last answer’s receipt (JSON)</source>
        <translation>Beleg der letzten Antwort kopieren (JSON)</translation>
    </message>
    <message>
        <source>Go to the turn before</source>
        <translation>Zur vorigen Frage</translation>
    </message>
    <message>
        <source>Go to the turn after</source>
        <translation>Zur nächsten Frage</translation>
    </message>
    <message>
        <source>Scroll to the end of the conversation</source>
        <translation>Zum Ende der Unterhaltung</translation>
    </message>
    <message>
        <source>Stopped here.</source>
        <translation>Hier angehalten.</translation>
    </message>
</context>
<context>
    <name>ClipStatus</name>
    <message>
        <source>Progress</source>
        <translation>Fortschritt</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
    <message>
        <source>Stops what is being done with the clip</source>
        <translation>Bricht ab, was gerade mit dem Clip geschieht</translation>
    </message>
</context>
<context>
    <name>ClipView</name>
    <message>
        <source>Picture</source>
        <translation>Bild</translation>
    </message>
</context>
<context>
    <name>ClipWork</name>
    <message>
        <source>Waiting for the model</source>
        <translation>Wartet auf das Modell</translation>
    </message>
</context>
<context>
    <name>CommandPalette</name>
    <message>
        <source>Command palette</source>
        <translation>Befehlspalette</translation>
    </message>
    <message>
        <source>Type a command</source>
        <translation>Befehl eingeben</translation>
    </message>
    <message>
        <source>Search commands</source>
        <translation>Befehle suchen</translation>
    </message>
    <message>
        <source>Up and Down choose a command, Enter runs it, Escape closes the list.</source>
        <translation>Auf und Ab wählen einen Befehl, Eingabe führt ihn aus, Escape schließt die Liste.</translation>
    </message>
    <message>
        <source>Commands</source>
        <translation>Befehle</translation>
    </message>
    <message>
        <source>No command fits.</source>
        <translation>Kein Befehl passt.</translation>
    </message>
</context>
<context>
    <name>Composer</name>
    <message>
        <source>Ask about the clip</source>
        <translation>Fragen zum Clip</translation>
    </message>
    <message>
        <source>Your question</source>
        <translation>Ihre Frage</translation>
    </message>
    <message>
        <source>Enter sends, Shift+Enter begins a new line, Up edits the last question.</source>
        <translation>Eingabe sendet, Umschalt+Eingabe beginnt eine neue Zeile, Auf bearbeitet die letzte Frage.</translation>
    </message>
    <message>
        <source>Stop the answer</source>
        <translation>Antwort anhalten</translation>
    </message>
    <message>
        <source>Send the question</source>
        <translation>Frage senden</translation>
    </message>
    <message>
        <source>Esc</source>
        <translation>Esc</translation>
    </message>
    <message>
        <source>Enter</source>
        <translation>Eingabe</translation>
    </message>
    <message>
        <source>{what} ({keys})</source>
        <translation>{what} ({keys})</translation>
    </message>
</context>
<context>
    <name>CoverageBar</name>
    <message>
        <source>Timeline, in seconds</source>
        <translation>Zeitachse in Sekunden</translation>
    </message>
    <message>
        <source>Frame {number} of {count}, at {time}</source>
        <translation>Bild {number} von {count}, bei {time}</translation>
    </message>
    <message>
        <source>Sound heard</source>
        <translation>Ton gehört</translation>
    </message>
    <message>
        <source>Sound not heard</source>
        <translation>Ton nicht gehört</translation>
    </message>
    <message>
        <source>Outside the chosen range</source>
        <translation>Außerhalb des gewählten Bereichs</translation>
    </message>
    <message>
        <source>not seen</source>
        <translation>nicht gesehen</translation>
    </message>
    <message>
        <source>The clip has no sound</source>
        <translation>Der Clip hat keinen Ton</translation>
    </message>
    <message>
        <source>not heard</source>
        <translation>nicht gehört</translation>
    </message>
</context>
<context>
    <name>CoverageFacts</name>
    <message>
        <source>The model saw the picture</source>
        <translation>Das Modell sah das Bild</translation>
    </message>
    <message>
        <source>{time} long</source>
        <translation>{time} lang</translation>
    </message>
    <message>
        <source>no frames</source>
        <translation>keine Bilder</translation>
    </message>
    <message>
        <source>chosen range {start} to {end}</source>
        <translation>gewählter Bereich {start} bis {end}</translation>
    </message>
    <message>
        <source>The model gets 1 frame</source>
        <translation>Das Modell bekommt 1 Bild</translation>
    </message>
    <message>
        <source>The model gets {count} frames</source>
        <translation>Das Modell bekommt {count} Bilder</translation>
    </message>
    <message>
        <source>The model saw no picture</source>
        <translation>Das Modell sah kein Bild</translation>
    </message>
    <message>
        <source>The model saw 1 frame</source>
        <translation>Das Modell sah 1 Bild</translation>
    </message>
    <message>
        <source>The model saw {count} frames</source>
        <translation>Das Modell sah {count} Bilder</translation>
    </message>
    <message>
        <source>did not hear the sound</source>
        <translation>hörte den Ton nicht</translation>
    </message>
    <message>
        <source>heard all of the sound</source>
        <translation>hörte den ganzen Ton</translation>
    </message>
    <message>
        <source>heard {heard} of {whole} of the sound</source>
        <translation>hörte {heard} von {whole} des Tons</translation>
    </message>
    <message>
        <source>The model did not hear the sound</source>
        <translation>Das Modell hörte den Ton nicht</translation>
    </message>
    <message>
        <source>The model heard all of the sound</source>
        <translation>Das Modell hörte den ganzen Ton</translation>
    </message>
    <message>
        <source>The model heard {heard} of {whole} of the sound</source>
        <translation>Das Modell hörte {heard} von {whole} des Tons</translation>
    </message>
    <message>
        <source>{count} frames from {first} to {last}</source>
        <translation>{count} Bilder von {first} bis {last}</translation>
    </message>
    <message>
        <source>1 frame at {times}</source>
        <translation>1 Bild bei {times}</translation>
    </message>
    <message>
        <source>{count} frames at {times}</source>
        <translation>{count} Bilder bei {times}</translation>
    </message>
    <message>
        <source>no sound</source>
        <translation>kein Ton</translation>
    </message>
    <message>
        <source>sound not heard</source>
        <translation>Ton nicht gehört</translation>
    </message>
    <message>
        <source>sound {spans} heard</source>
        <translation>Ton {spans} gehört</translation>
    </message>
    <message>
        <source>sound {spans} not heard</source>
        <translation>Ton {spans} nicht gehört</translation>
    </message>
    <message>
        <source>{seconds} s</source>
        <translation>{seconds} s</translation>
    </message>
</context>
<context>
    <name>DropOverlay</name>
    <message>
        <source>Drop to open</source>
        <translation>Zum Öffnen loslassen</translation>
    </message>
</context>
<context>
    <name>EmptyClip</name>
    <message>
        <source>Drop a video, a picture or a sound here</source>
        <translation>Video, Bild oder Ton hierher ziehen</translation>
    </message>
    <message>
        <source>Then ask about it in your own words. Nothing leaves this computer.</source>
        <translation>Dann in eigenen Worten danach fragen. Nichts verlässt diesen Computer.</translation>
    </message>
    <message>
        <source>Open…</source>
        <translation>Öffnen …</translation>
    </message>
    <message>
        <source>Try the demo clip</source>
        <translation>Demo-Clip ausprobieren</translation>
    </message>
    <message>
        <source>Opens a short clip that came with this program</source>
        <translation>Öffnet einen kurzen Clip, der zu diesem Programm gehört</translation>
    </message>
</context>
<context>
    <name>Engine</name>
    <message>
        <source>Estimated from the file&apos;s size: the library packs the weights anew. What it takes while it works is estimated, too.</source>
        <translation>Geschätzt aus der Größe der Datei: Die Bibliothek packt die Gewichte neu. Auch was sie beim Rechnen braucht, ist geschätzt.</translation>
    </message>
    <message>
        <source>Exact. Read from the file as needed, and given back when memory is short.</source>
        <translation>Genau. Wird nach Bedarf aus der Datei gelesen und freigegeben, wenn der Speicher knapp ist.</translation>
    </message>
    <message>
        <source>Exact, for a conversation of 8,192 tokens or as many as the model can hold; a shorter one takes less.</source>
        <translation>Genau, für eine Unterhaltung von 8.192 Token oder so vielen, wie das Modell fasst; eine kürzere braucht weniger.</translation>
    </message>
    <message>
        <source>Exact, for a conversation of the length asked for.</source>
        <translation>Genau, für eine Unterhaltung der gewünschten Länge.</translation>
    </message>
    <message>
        <source>Measured on another computer: the engine&apos;s process without a model.</source>
        <translation>Auf einem anderen Computer gemessen: der Rechenprozess ohne Modell.</translation>
    </message>
    <message>
        <source>The model runs on the CPU.</source>
        <translation>Das Modell läuft auf der CPU.</translation>
    </message>
    <message>
        <source>The model runs on cpu, as asked.</source>
        <translation>Das Modell läuft auf der CPU, wie gewünscht.</translation>
    </message>
    <message>
        <source>The model runs on cuda, as asked.</source>
        <translation>Das Modell läuft auf CUDA, wie gewünscht.</translation>
    </message>
    <message>
        <source>The model runs on tensorrt, as asked.</source>
        <translation>Das Modell läuft auf TensorRT, wie gewünscht.</translation>
    </message>
    <message>
        <source>The encoders run on the GPU (CUDA), the language model runs on the CPU.</source>
        <translation>Die Encoder laufen auf der Grafikkarte (CUDA), das Sprachmodell auf der CPU.</translation>
    </message>
    <message>
        <source>Compiled engines run on the GPU where the bundle has them; the rest runs on the CPU.</source>
        <translation>Kompilierte Engines laufen auf der Grafikkarte, soweit das Modell welche hat; alles andere läuft auf der CPU.</translation>
    </message>
    <message>
        <source>The model runs on the CPU; there is a GPU, to use it install onnxruntime-gpu with its CUDA libraries.</source>
        <translation>Das Modell läuft auf der CPU; es gibt eine GPU, installieren Sie dafür onnxruntime-gpu mit seinen CUDA-Bibliotheken.</translation>
    </message>
</context>
<context>
    <name>EngineLink</name>
    <message>
        <source>The engine did not stop when asked and was ended.</source>
        <translation>Der Rechenprozess hielt auf Wunsch nicht an und wurde beendet.</translation>
    </message>
</context>
<context>
    <name>ErrorLine</name>
    <message>
        <source>Error</source>
        <translation>Fehler</translation>
    </message>
    <message>
        <source>Close this message</source>
        <translation>Meldung schließen</translation>
    </message>
</context>
<context>
    <name>FileDialogs</name>
    <message>
        <source>Clips</source>
        <translation>Clips</translation>
    </message>
    <message>
        <source>Videos</source>
        <translation>Videos</translation>
    </message>
    <message>
        <source>Pictures</source>
        <translation>Bilder</translation>
    </message>
    <message>
        <source>Sounds</source>
        <translation>Töne</translation>
    </message>
    <message>
        <source>All files</source>
        <translation>Alle Dateien</translation>
    </message>
    <message>
        <source>Open a clip</source>
        <translation>Clip öffnen</translation>
    </message>
    <message>
        <source>Open a folder of frames</source>
        <translation>Ordner mit Einzelbildern öffnen</translation>
    </message>
    <message>
        <source>Export the conversation</source>
        <translation>Unterhaltung exportieren</translation>
    </message>
    <message>
        <source>Save a report for the maintainers</source>
        <translation>Bericht für die Entwickler speichern</translation>
    </message>
    <message>
        <source>Texts</source>
        <translation>Texte</translation>
    </message>
</context>
<context>
    <name>FilmStrip</name>
    <message>
        <source>Frames that the model gets</source>
        <translation>Bilder, die das Modell bekommt</translation>
    </message>
    <message>
        <source>Enter goes to a frame</source>
        <translation>Eingabe springt zu einem Bild</translation>
    </message>
    <message>
        <source>Frame {number} of {count}, at {time}</source>
        <translation>Bild {number} von {count}, bei {time}</translation>
    </message>
</context>
<context>
    <name>FirstQuestions</name>
    <message>
        <source>What do you want to know?</source>
        <translation>Was möchten Sie wissen?</translation>
    </message>
    <message>
        <source>Ask in plain words, or begin with one of these:</source>
        <translation>Fragen Sie in eigenen Worten, oder beginnen Sie hiermit:</translation>
    </message>
    <message>
        <source>Ask in plain words.</source>
        <translation>Fragen Sie in eigenen Worten.</translation>
    </message>
    <message>
        <source>Ask about a clip</source>
        <translation>Zu einem Clip fragen</translation>
    </message>
    <message>
        <source>Open a video, a picture or a sound; everything stays on this computer.</source>
        <translation>Öffnen Sie ein Video, ein Bild oder einen Ton; alles bleibt auf diesem Computer.</translation>
    </message>
</context>
<context>
    <name>FlowText</name>
    <message>
        <source>Open a link?</source>
        <translation>Link öffnen?</translation>
    </message>
    <message>
        <source>The model wrote this address; the program itself opens nothing.</source>
        <translation>Diese Adresse hat das Modell geschrieben; das Programm selbst öffnet nichts.</translation>
    </message>
    <message>
        <source>Copy address</source>
        <translation>Adresse kopieren</translation>
    </message>
    <message>
        <source>Open in browser</source>
        <translation>Im Browser öffnen</translation>
    </message>
</context>
<context>
    <name>HistoryDesk</name>
    <message>
        <source>Written to {path}.</source>
        <translation>Geschrieben nach {path}.</translation>
    </message>
</context>
<context>
    <name>HistoryPanel</name>
    <message>
        <source>History</source>
        <translation>Verlauf</translation>
    </message>
    <message>
        <source>No conversation holds “{words}”.</source>
        <translation>Keine Unterhaltung enthält „{words}“.</translation>
    </message>
    <message>
        <source>No conversations yet. Open a clip and ask about it.</source>
        <translation>Noch keine Unterhaltungen. Öffnen Sie einen Clip und fragen Sie danach.</translation>
    </message>
    <message>
        <source>Search conversations</source>
        <translation>Verlauf durchsuchen</translation>
    </message>
    <message>
        <source>Finds words in titles, questions, answers and names of clips.</source>
        <translation>Findet Wörter in Titeln, Fragen, Antworten und Namen von Clips.</translation>
    </message>
    <message>
        <source>Rename, export or delete the chosen conversation</source>
        <translation>Gewählte Unterhaltung umbenennen, exportieren oder löschen</translation>
    </message>
    <message>
        <source>Actions for the chosen conversation</source>
        <translation>Befehle für die gewählte Unterhaltung</translation>
    </message>
    <message>
        <source>Conversations</source>
        <translation>Unterhaltungen</translation>
    </message>
    <message>
        <source>Open conversation</source>
        <translation>Unterhaltung öffnen</translation>
    </message>
    <message>
        <source>Rename conversation</source>
        <translation>Unterhaltung umbenennen</translation>
    </message>
    <message>
        <source>Export conversation as Markdown…</source>
        <translation>Unterhaltung als Markdown exportieren …</translation>
    </message>
    <message>
        <source>Export conversation as JSON…</source>
        <translation>Unterhaltung als JSON exportieren …</translation>
    </message>
    <message>
        <source>Delete conversation</source>
        <translation>Unterhaltung löschen</translation>
    </message>
    <message>
        <source>Undo deleting a conversation</source>
        <translation>Löschen einer Unterhaltung rückgängig machen</translation>
    </message>
    <message>
        <source>Undo</source>
        <translation>Rückgängig</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
    <message>
        <source>Deleted “{title}”.</source>
        <translation>„{title}“ wurde gelöscht.</translation>
    </message>
</context>
<context>
    <name>HistoryRowDelegate</name>
    <message>
        <source>New title</source>
        <translation>Neuer Titel</translation>
    </message>
</context>
<context>
    <name>HistoryRows</name>
    <message numerus="yes">
        <source>%n question(s)</source>
        <translation>
            <numerusform>%n Frage</numerusform>
            <numerusform>%n Fragen</numerusform>
        </translation>
    </message>
    <message>
        <source>Today</source>
        <translation>Heute</translation>
    </message>
    <message>
        <source>Yesterday</source>
        <translation>Gestern</translation>
    </message>
    <message>
        <source>Last seven days</source>
        <translation>Letzte sieben Tage</translation>
    </message>
    <message>
        <source>Older</source>
        <translation>Älter</translation>
    </message>
</context>
<context>
    <name>LevelMeter</name>
    <message>
        <source>Loudness of the microphone</source>
        <translation>Lautstärke des Mikrofons</translation>
    </message>
    <message>
        <source>off</source>
        <translation>aus</translation>
    </message>
    <message>
        <source>silent</source>
        <translation>still</translation>
    </message>
    <message>
        <source>heard</source>
        <translation>zu hören</translation>
    </message>
    <message>
        <source>too loud</source>
        <translation>zu laut</translation>
    </message>
</context>
<context>
    <name>ListControl</name>
    <message>
        <source>Add folder…</source>
        <translation>Ordner hinzufügen …</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>Entfernen</translation>
    </message>
    <message>
        <source>Remove the chosen folder from the list</source>
        <translation>Gewählten Ordner aus der Liste nehmen</translation>
    </message>
    <message>
        <source>none</source>
        <translation>keine</translation>
    </message>
</context>
<context>
    <name>LiveBar</name>
    <message>
        <source>Seconds that are asked about</source>
        <translation>Sekunden, um die es in der Frage geht</translation>
    </message>
    <message>
        <source>Drag to choose a stretch; Esc goes back to the last seconds.</source>
        <translation>Ziehen wählt einen Abschnitt; Esc kehrt zu den letzten Sekunden zurück.</translation>
    </message>
    <message>
        <source>−{seconds} s</source>
        <translation>−{seconds} s</translation>
    </message>
    <message>
        <source>now</source>
        <translation>jetzt</translation>
    </message>
    <message>
        <source>the last {seconds} s</source>
        <translation>die letzten {seconds} s</translation>
    </message>
    <message>
        <source>a stretch of {seconds} s</source>
        <translation>ein Abschnitt von {seconds} s</translation>
    </message>
</context>
<context>
    <name>LiveDesk</name>
    <message>
        <source>What has just happened?</source>
        <translation>Was ist gerade geschehen?</translation>
    </message>
    <message>
        <source>What do you see now?</source>
        <translation>Was ist jetzt zu sehen?</translation>
    </message>
    <message>
        <source>What do you hear?</source>
        <translation>Was ist zu hören?</translation>
    </message>
    <message>
        <source>Connected: {names}.</source>
        <translation>Angeschlossen: {names}.</translation>
    </message>
    <message>
        <source>No longer there: {names}.</source>
        <translation>Nicht mehr da: {names}.</translation>
    </message>
    <message>
        <source>Choose a camera or a microphone first.</source>
        <translation>Zuerst eine Kamera oder ein Mikrofon wählen.</translation>
    </message>
    <message>
        <source>{name} is back.</source>
        <translation>{name} ist wieder da.</translation>
    </message>
    <message>
        <source>recording</source>
        <translation>Aufnahme läuft</translation>
    </message>
    <message>
        <source>Camera or microphone is on.</source>
        <translation>Kamera oder Mikrofon ist an.</translation>
    </message>
    <message>
        <source>recording, waiting for: {question}</source>
        <translation>Aufnahme läuft, gewartet wird auf: {question}</translation>
    </message>
    <message>
        <source>Camera and microphone stay on, on other pages too, for as long as there is something to wait for.</source>
        <translation>Kamera und Mikrofon bleiben an, auch auf anderen Seiten, solange auf etwas gewartet wird.</translation>
    </message>
    <message>
        <source>Kept as {path}</source>
        <translation>Aufgehoben als {path}</translation>
    </message>
    <message>
        <source>Open it</source>
        <translation>Öffnen</translation>
    </message>
    <message>
        <source>Open the clip</source>
        <translation>Clip öffnen</translation>
    </message>
    <message>
        <source>It has happened</source>
        <translation>Es ist geschehen</translation>
    </message>
</context>
<context>
    <name>LiveDevices</name>
    <message>
        <source>Camera</source>
        <translation>Kamera</translation>
    </message>
    <message>
        <source>Choose one, or type a number, a name or an address.</source>
        <translation>Eine wählen, oder eine Nummer, einen Namen oder eine Adresse eingeben.</translation>
    </message>
    <message>
        <source>Microphone</source>
        <translation>Mikrofon</translation>
    </message>
    <message>
        <source>Resolution</source>
        <translation>Auflösung</translation>
    </message>
    <message>
        <source>The camera may not obey.</source>
        <translation>Die Kamera richtet sich vielleicht nicht danach.</translation>
    </message>
    <message>
        <source>Pictures a second</source>
        <translation>Bilder je Sekunde</translation>
    </message>
    <message>
        <source>Any size</source>
        <translation>Jede Größe</translation>
    </message>
    <message>
        <source>Any rate</source>
        <translation>Jede Rate</translation>
    </message>
    <message>
        <source>{rate} a second</source>
        <translation>{rate} je Sekunde</translation>
    </message>
    <message>
        <source>Mirrored</source>
        <translation>Gespiegelt</translation>
    </message>
    <message>
        <source>Shows you as a mirror does; the model sees it unmirrored.</source>
        <translation>Zeigt das Bild wie ein Spiegel; das Modell sieht es ungespiegelt.</translation>
    </message>
    <message>
        <source>Look for cameras and microphones</source>
        <translation>Nach Kameras und Mikrofonen suchen</translation>
    </message>
    <message>
        <source>No camera</source>
        <translation>Keine Kamera</translation>
    </message>
    <message>
        <source>The system’s microphone</source>
        <translation>Mikrofon des Systems</translation>
    </message>
    <message>
        <source>No microphone</source>
        <translation>Kein Mikrofon</translation>
    </message>
</context>
<context>
    <name>LivePage</name>
    <message>
        <source>Live</source>
        <translation>Live</translation>
    </message>
    <message>
        <source>Looking for cameras and microphones …</source>
        <translation>Kameras und Mikrofone werden gesucht …</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>Stopp</translation>
    </message>
    <message>
        <source>Start</source>
        <translation>Start</translation>
    </message>
    <message>
        <source>Stop recording</source>
        <translation>Aufnahme beenden</translation>
    </message>
    <message>
        <source>Once started, the last {seconds} s are kept, in memory alone, in at most {size}.</source>
        <translation>Nach dem Start werden die letzten {seconds} s behalten, nur im Arbeitsspeicher, in höchstens {size}.</translation>
    </message>
    <message>
        <source>Opening camera and microphone …</source>
        <translation>Kamera und Mikrofon werden geöffnet …</translation>
    </message>
    <message>
        <source>Camera and microphone are off.</source>
        <translation>Kamera und Mikrofon sind aus.</translation>
    </message>
    <message>
        <source>Sound alone: no camera was chosen.</source>
        <translation>Nur Ton: Es ist keine Kamera gewählt.</translation>
    </message>
    <message>
        <source>Start camera and microphone</source>
        <translation>Kamera und Mikrofon starten</translation>
    </message>
    <message>
        <source>Keep what was asked about as a clip</source>
        <translation>Das Gefragte als Clip aufheben</translation>
    </message>
    <message>
        <source>Keep the chosen stretch as a clip</source>
        <translation>Den gewählten Abschnitt als Clip aufheben</translation>
    </message>
    <message>
        <source>Open the chosen moment’s clip</source>
        <translation>Clip des gewählten Augenblicks öffnen</translation>
    </message>
    <message>
        <source>Ask about the last {seconds} s</source>
        <translation>Nach den letzten {seconds} s fragen</translation>
    </message>
    <message>
        <source>{seconds} s</source>
        <translation>{seconds} s</translation>
    </message>
    <message>
        <source>Ask about</source>
        <translation>Fragen nach</translation>
    </message>
    <message>
        <source>Ask about the last …</source>
        <translation>Fragen nach den letzten …</translation>
    </message>
    <message>
        <source>Keep as clip</source>
        <translation>Als Clip aufheben</translation>
    </message>
    <message>
        <source>A question during an answer</source>
        <translation>Eine Frage während einer Antwort</translation>
    </message>
    <message>
        <source>waits for its turn</source>
        <translation>wartet, bis sie dran ist</translation>
    </message>
    <message>
        <source>interrupts the answer</source>
        <translation>unterbricht die Antwort</translation>
    </message>
    <message>
        <source>{seconds} s of what was</source>
        <translation>{seconds} s von vorhin</translation>
    </message>
    <message>
        <source>{width} × {height}, {rate} pictures a second</source>
        <translation>{width} × {height}, {rate} Bilder je Sekunde</translation>
    </message>
    <message>
        <source>{missed} missed, {crowded} dropped early</source>
        <translation>{missed} ausgefallen, {crowded} früh verworfen</translation>
    </message>
    <message>
        <source>sound lost {count} times</source>
        <translation>Ton {count}-mal verloren</translation>
    </message>
    <message>
        <source>{seconds} s kept in {size} of memory</source>
        <translation>{seconds} s in {size} Speicher</translation>
    </message>
</context>
<context>
    <name>LiveTalk</name>
    <message>
        <source>Nothing is being recorded; press Start first.</source>
        <translation>Es wird nichts aufgenommen; zuerst auf Start drücken.</translation>
    </message>
    <message>
        <source>What this question was about is no longer kept; ask about now.</source>
        <translation>Worum es in dieser Frage ging, ist nicht mehr da; nach dem Jetzt fragen.</translation>
    </message>
    <message>
        <source>Nothing was recorded in this stretch yet; wait a moment.</source>
        <translation>In diesem Abschnitt ist noch nichts aufgenommen; einen Augenblick warten.</translation>
    </message>
    <message>
        <source>Waiting for the model</source>
        <translation>Wartet auf das Modell</translation>
    </message>
</context>
<context>
    <name>LiveView</name>
    <message>
        <source>What the camera sees</source>
        <translation>Was die Kamera sieht</translation>
    </message>
</context>
<context>
    <name>MainWindow</name>
    <message>
        <source>Player</source>
        <translation>Player</translation>
    </message>
    <message>
        <source>Conversation</source>
        <translation>Unterhaltung</translation>
    </message>
    <message>
        <source>Live</source>
        <translation>Live</translation>
    </message>
    <message>
        <source>History</source>
        <translation>Verlauf</translation>
    </message>
    <message>
        <source>Models</source>
        <translation>Modelle</translation>
    </message>
    <message>
        <source>Taking the clip in was stopped; it is done when you ask.</source>
        <translation>Das Aufnehmen des Clips wurde angehalten; es wird nachgeholt, sobald Sie fragen.</translation>
    </message>
    <message>
        <source>There is no file and no path on the clipboard.</source>
        <translation>In der Zwischenablage ist weder eine Datei noch ein Pfad.</translation>
    </message>
    <message>
        <source>One clip at a time: {name} was opened, the other files were not.</source>
        <translation>Ein Clip auf einmal: {name} wurde geöffnet, die anderen Dateien nicht.</translation>
    </message>
    <message>
        <source>Clear this list</source>
        <translation>Diese Liste leeren</translation>
    </message>
    <message>
        <source>Find it…</source>
        <translation>Suchen …</translation>
    </message>
    <message>
        <source>About {program}</source>
        <translation>Über {program}</translation>
    </message>
    <message>
        <source>Asks a video, with its sound, on your own computer; nothing leaves it. An answer can be wrong.

Apache-2.0. Uses PySide6 and Qt (LGPL), ONNX Runtime (MIT), PyAV with FFmpeg, NumPy, Pillow, tokenizers and Jinja2.</source>
        <translation>Befragt ein Video samt Ton auf Ihrem eigenen Computer; nichts verlässt ihn. Eine Antwort kann falsch sein.

Apache-2.0. Verwendet PySide6 und Qt (LGPL), ONNX Runtime (MIT), PyAV mit FFmpeg, NumPy, Pillow, tokenizers und Jinja2.</translation>
    </message>
</context>
<context>
    <name>MarkdownBlocks</name>
    <message>
        <source>[picture: {name}]</source>
        <translation>[Bild: {name}]</translation>
    </message>
</context>
<context>
    <name>ModelCard</name>
    <message>
        <source>In use</source>
        <translation>In Gebrauch</translation>
    </message>
    <message>
        <source>picture and sound</source>
        <translation>Bild und Ton</translation>
    </message>
    <message>
        <source>picture only</source>
        <translation>nur Bild</translation>
    </message>
    <message numerus="yes">
        <source>%n frame(s)</source>
        <translation>
            <numerusform>%n Bild</numerusform>
            <numerusform>%n Bilder</numerusform>
        </translation>
    </message>
    <message>
        <source>{size} on disk</source>
        <translation>{size} auf der Platte</translation>
    </message>
    <message>
        <source>Memory</source>
        <translation>Arbeitsspeicher</translation>
    </message>
    <message>
        <source>Grey: in use now. Blue: what this model needs. Striped: what is missing.</source>
        <translation>Grau: zurzeit belegt. Blau: was dieses Modell braucht. Gestreift: was fehlt.</translation>
    </message>
    <message>
        <source>Fits.</source>
        <translation>Passt.</translation>
    </message>
    <message>
        <source>Tight: fits only when other programs are closed.</source>
        <translation>Knapp: passt nur, wenn andere Programme geschlossen werden.</translation>
    </message>
    <message>
        <source>Does not fit into this computer&apos;s memory.</source>
        <translation>Passt nicht in den Arbeitsspeicher dieses Computers.</translation>
    </message>
    <message>
        <source>This computer does not say how much memory it has.</source>
        <translation>Dieser Computer sagt nicht, wie viel Arbeitsspeicher er hat.</translation>
    </message>
    <message>
        <source>Needs about {size}.</source>
        <translation>Braucht etwa {size}.</translation>
    </message>
    <message>
        <source>{free} of {total} are free here.</source>
        <translation>{free} von {total} sind hier frei.</translation>
    </message>
    <message>
        <source>Use this model</source>
        <translation>Modell verwenden</translation>
    </message>
    <message>
        <source>Use {model}</source>
        <translation>{model} verwenden</translation>
    </message>
    <message>
        <source>Details</source>
        <translation>Einzelheiten</translation>
    </message>
    <message>
        <source>Details of {model}</source>
        <translation>Einzelheiten zu {model}</translation>
    </message>
    <message>
        <source>Remove {model}</source>
        <translation>{model} entfernen</translation>
    </message>
    <message>
        <source>Remove this model…</source>
        <translation>Dieses Modell entfernen …</translation>
    </message>
    <message>
        <source>about {size}</source>
        <translation>etwa {size}</translation>
    </message>
    <message>
        <source>{size} read as needed</source>
        <translation>{size} nach Bedarf gelesen</translation>
    </message>
    <message>
        <source>Where each part runs, and its memory</source>
        <translation>Wo jeder Teil läuft und was er braucht</translation>
    </message>
    <message>
        <source>Where it is from</source>
        <translation>Woher es stammt</translation>
    </message>
    <message>
        <source>Folder</source>
        <translation>Ordner</translation>
    </message>
    <message>
        <source>Checkpoint: {name}</source>
        <translation>Checkpoint: {name}</translation>
    </message>
    <message>
        <source>Bundle number: {id}</source>
        <translation>Bundle-Nummer: {id}</translation>
    </message>
</context>
<context>
    <name>ModelDesk</name>
    <message>
        <source>opening the model …</source>
        <translation>Modell wird geöffnet …</translation>
    </message>
    <message>
        <source>Show models</source>
        <translation>Modelle zeigen</translation>
    </message>
    <message>
        <source>Opening the model</source>
        <translation>Modell wird geöffnet</translation>
    </message>
    <message>
        <source>no model</source>
        <translation>kein Modell</translation>
    </message>
    <message>
        <source>Use the demo model</source>
        <translation>Demo-Modell verwenden</translation>
    </message>
    <message>
        <source>Start it again</source>
        <translation>Neu starten</translation>
    </message>
</context>
<context>
    <name>ModelsPage</name>
    <message>
        <source>Models</source>
        <translation>Modelle</translation>
    </message>
    <message>
        <source>Show</source>
        <translation>Zeigen</translation>
    </message>
    <message>
        <source>Importing and checking {name}: {done} of {total}</source>
        <translation>{name} wird importiert und geprüft: {done} von {total}</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
    <message>
        <source>For clips of your own, build a model from a VideoLLaMA 2 checkpoint, or import one that was built on another computer. Everything stays on this computer.</source>
        <translation>Für eigene Clips bauen Sie ein Modell aus einem VideoLLaMA-2-Checkpoint, oder importieren Sie eines, das auf einem anderen Computer gebaut wurde. Alles bleibt auf diesem Computer.</translation>
    </message>
    <message>
        <source>Import a model…</source>
        <translation>Modell importieren …</translation>
    </message>
    <message>
        <source>Copy a bundle into the program&apos;s folder</source>
        <translation>Ein Bundle in den Ordner des Programms kopieren</translation>
    </message>
    <message>
        <source>Build a model from a checkpoint…</source>
        <translation>Modell aus einem Checkpoint bauen …</translation>
    </message>
    <message>
        <source>Import…</source>
        <translation>Importieren …</translation>
    </message>
    <message>
        <source>Build…</source>
        <translation>Bauen …</translation>
    </message>
    <message>
        <source>Import a model: choose its folder</source>
        <translation>Modell importieren: Ordner auswählen</translation>
    </message>
    <message>
        <source>Remove a model</source>
        <translation>Modell entfernen</translation>
    </message>
    <message>
        <source>Remove “{model}” from this computer?</source>
        <translation>„{model}“ von diesem Computer entfernen?</translation>
    </message>
    <message>
        <source>The folder {path} ({size}) is deleted. Conversations stay; to ask again, the model has to be imported or built anew.</source>
        <translation>Der Ordner {path} ({size}) wird gelöscht. Unterhaltungen bleiben; um weiter zu fragen, muss das Modell neu importiert oder gebaut werden.</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>Entfernen</translation>
    </message>
    <message>
        <source>Keep</source>
        <translation>Behalten</translation>
    </message>
</context>
<context>
    <name>MomentsList</name>
    <message>
        <source>Moments</source>
        <translation>Augenblicke</translation>
    </message>
    <message>
        <source>Enter opens a moment’s clip.</source>
        <translation>Die Eingabetaste öffnet den Clip eines Augenblicks.</translation>
    </message>
    <message>
        <source>{time}  {question}  {answer}</source>
        <translation>{time}  {question}  {answer}</translation>
    </message>
</context>
<context>
    <name>Player</name>
    <message>
        <source>Play</source>
        <translation>Abspielen</translation>
    </message>
    <message>
        <source>Slower</source>
        <translation>Langsamer</translation>
    </message>
    <message>
        <source>Faster</source>
        <translation>Schneller</translation>
    </message>
    <message>
        <source>Normal speed</source>
        <translation>Normale Geschwindigkeit</translation>
    </message>
    <message>
        <source>Back 5 seconds</source>
        <translation>5 Sekunden zurück</translation>
    </message>
    <message>
        <source>Forward 5 seconds</source>
        <translation>5 Sekunden vor</translation>
    </message>
    <message>
        <source>Previous frame</source>
        <translation>Voriges Bild</translation>
    </message>
    <message>
        <source>Next frame</source>
        <translation>Nächstes Bild</translation>
    </message>
    <message>
        <source>Go to the beginning</source>
        <translation>Zum Anfang</translation>
    </message>
    <message>
        <source>Go to the end</source>
        <translation>Zum Ende</translation>
    </message>
    <message>
        <source>Mute</source>
        <translation>Stumm</translation>
    </message>
    <message>
        <source>Louder</source>
        <translation>Lauter</translation>
    </message>
    <message>
        <source>Quieter</source>
        <translation>Leiser</translation>
    </message>
    <message>
        <source>Range begins here</source>
        <translation>Bereich beginnt hier</translation>
    </message>
    <message>
        <source>Range ends here</source>
        <translation>Bereich endet hier</translation>
    </message>
    <message>
        <source>Move the range&apos;s edge left</source>
        <translation>Rand des Bereichs nach links</translation>
    </message>
    <message>
        <source>Move the range&apos;s edge right</source>
        <translation>Rand des Bereichs nach rechts</translation>
    </message>
    <message>
        <source>Play the range</source>
        <translation>Bereich abspielen</translation>
    </message>
    <message>
        <source>Take the whole clip</source>
        <translation>Ganzen Clip nehmen</translation>
    </message>
    <message>
        <source>Zoom into the timeline</source>
        <translation>Zeitachse vergrößern</translation>
    </message>
    <message>
        <source>Zoom out of the timeline</source>
        <translation>Zeitachse verkleinern</translation>
    </message>
    <message>
        <source>Whole timeline</source>
        <translation>Ganze Zeitachse</translation>
    </message>
</context>
<context>
    <name>PlayerControls</name>
    <message>
        <source>Pause</source>
        <translation>Pause</translation>
    </message>
    <message>
        <source>Play</source>
        <translation>Abspielen</translation>
    </message>
</context>
<context>
    <name>PlayerPane</name>
    <message>
        <source>Player</source>
        <translation>Player</translation>
    </message>
    <message>
        <source>The clip has no sound</source>
        <translation>Der Clip hat keinen Ton</translation>
    </message>
    <message>
        <source>This computer has nothing to play sound with</source>
        <translation>Dieser Computer hat keine Tonausgabe</translation>
    </message>
    <message>
        <source>{name} cannot be played here; the model may understand it all the same.</source>
        <translation>{name} kann hier nicht abgespielt werden; das Modell versteht es vielleicht trotzdem.</translation>
    </message>
    <message>
        <source>{name} cannot be shown here in full size.</source>
        <translation>{name} kann hier nicht in voller Größe gezeigt werden.</translation>
    </message>
    <message>
        <source>Player: {name}</source>
        <translation>Player: {name}</translation>
    </message>
</context>
<context>
    <name>QuestionEditor</name>
    <message>
        <source>Edit the question</source>
        <translation>Frage bearbeiten</translation>
    </message>
    <message>
        <source>Ask again</source>
        <translation>Noch einmal fragen</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
    <message numerus="yes">
        <source>%n later question(s) will be removed.</source>
        <translation>
            <numerusform>%n spätere Frage wird entfernt.</numerusform>
            <numerusform>%n spätere Fragen werden entfernt.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ReportDesk</name>
    <message>
        <source>The report is in {path}. No question, no answer and no name of a file is in it; read it before you send it.</source>
        <translation>Der Bericht liegt in {path}. Keine Frage, keine Antwort und kein Dateiname steht darin; lesen Sie ihn, bevor Sie ihn verschicken.</translation>
    </message>
    <message>
        <source>Read it</source>
        <translation>Lesen</translation>
    </message>
    <message>
        <source>Nothing on this computer opens {path} by itself.</source>
        <translation>Kein Programm auf diesem Rechner öffnet {path} von selbst.</translation>
    </message>
</context>
<context>
    <name>SafeMode</name>
    <message>
        <source>Safe mode: the model runs on the CPU and uses no copies kept to be quicker, camera and microphone stay off, and no clip or conversation was opened.</source>
        <translation>Abgesicherter Modus: Das Modell rechnet auf der CPU und benutzt keine Kopien, die nur der Schnelligkeit dienen, Kamera und Mikrofon bleiben aus, und es wurde weder ein Clip noch eine Unterhaltung geöffnet.</translation>
    </message>
    <message>
        <source>If {name} is not to blame, open it yourself.</source>
        <translation>Wenn {name} nicht schuld ist, öffnen Sie die Datei selbst.</translation>
    </message>
    <message>
        <source>Leave safe mode</source>
        <translation>Abgesicherten Modus verlassen</translation>
    </message>
    <message>
        <source>Start in safe mode?</source>
        <translation>Im abgesicherten Modus starten?</translation>
    </message>
    <message>
        <source>VL2 Desktop did not end as it should the last time.</source>
        <translation>VL2 Desktop wurde das letzte Mal nicht ordentlich beendet.</translation>
    </message>
    <message>
        <source>If it crashed, start it in safe mode: on the CPU, without camera and microphone, and with no clip or conversation opened. Your settings and your history stay as they are.</source>
        <translation>Wenn es abgestürzt ist, starten Sie es im abgesicherten Modus: auf der CPU, ohne Kamera und Mikrofon und ohne dass ein Clip oder eine Unterhaltung geöffnet wird. Ihre Einstellungen und Ihr Verlauf bleiben, wie sie sind.</translation>
    </message>
    <message>
        <source>&amp;Safe mode</source>
        <translation>&amp;Abgesicherter Modus</translation>
    </message>
    <message>
        <source>Start as &amp;usual</source>
        <translation>Wie &amp;üblich starten</translation>
    </message>
    <message>
        <source>Not in safe mode</source>
        <translation>Nicht im abgesicherten Modus</translation>
    </message>
</context>
<context>
    <name>SamplingPopover</name>
    <message>
        <source>How words are chosen</source>
        <translation>Wie Wörter gewählt werden</translation>
    </message>
    <message>
        <source>&amp;Temperature</source>
        <translation>&amp;Temperatur</translation>
    </message>
    <message>
        <source>0 takes the likeliest word every time. Higher is livelier and errs more.</source>
        <translation>0 nimmt jedes Mal das wahrscheinlichste Wort. Höher ist lebendiger und irrt öfter.</translation>
    </message>
    <message>
        <source>Top-&amp;p</source>
        <translation>Top-&amp;p</translation>
    </message>
    <message>
        <source>Choose among the likeliest words that together reach this share.</source>
        <translation>Wählt unter den wahrscheinlichsten Wörtern, die zusammen diesen Anteil erreichen.</translation>
    </message>
    <message>
        <source>model’s own</source>
        <translation>wie im Modell</translation>
    </message>
    <message>
        <source>Top-&amp;k</source>
        <translation>Top-&amp;k</translation>
    </message>
    <message>
        <source>Choose among this many words at most; 0 is all of them.</source>
        <translation>Wählt unter höchstens so vielen Wörtern; 0 sind alle.</translation>
    </message>
    <message>
        <source>&amp;Seed</source>
        <translation>&amp;Startwert</translation>
    </message>
    <message>
        <source>The same seed gives the same answer again; another one, another answer.</source>
        <translation>Derselbe Startwert ergibt wieder dieselbe Antwort, ein anderer eine andere.</translation>
    </message>
    <message>
        <source>&amp;Longest answer</source>
        <translation>&amp;Längste Antwort</translation>
    </message>
    <message>
        <source>In tokens, which are words or parts of words.</source>
        <translation>In Token, das sind Wörter oder Teile von Wörtern.</translation>
    </message>
    <message>
        <source>&amp;Defaults</source>
        <translation>&amp;Voreinstellungen</translation>
    </message>
    <message>
        <source>Has no effect while the temperature is 0.</source>
        <translation>Ohne Wirkung, solange die Temperatur 0 ist.</translation>
    </message>
</context>
<context>
    <name>SettingRow</name>
    <message>
        <source>Reset</source>
        <translation>Zurücksetzen</translation>
    </message>
    <message>
        <source>Reset {setting} to its default</source>
        <translation>{setting} auf den Vorgabewert zurücksetzen</translation>
    </message>
    <message>
        <source>Changed. Default: {value}</source>
        <translation>Geändert. Vorgabe: {value}</translation>
    </message>
    <message>
        <source>This is the default.</source>
        <translation>Das ist die Vorgabe.</translation>
    </message>
</context>
<context>
    <name>Settings</name>
    <message>
        <source>Appearance</source>
        <translation>Aussehen</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Modell</translation>
    </message>
    <message>
        <source>What is taken from a clip</source>
        <translation>Was aus einem Clip genommen wird</translation>
    </message>
    <message>
        <source>How answers are written</source>
        <translation>Wie Antworten geschrieben werden</translation>
    </message>
    <message>
        <source>Privacy</source>
        <translation>Privatsphäre</translation>
    </message>
    <message>
        <source>Language</source>
        <translation>Sprache</translation>
    </message>
    <message>
        <source>The language of the window; it changes when the program is started again. Answers are in whatever language the model writes.</source>
        <translation>Die Sprache des Fensters; sie wechselt, wenn das Programm neu gestartet wird. Antworten sind in der Sprache, in der das Modell schreibt.</translation>
    </message>
    <message>
        <source>As the system</source>
        <translation>Wie das System</translation>
    </message>
    <message>
        <source>Colours</source>
        <translation>Farben</translation>
    </message>
    <message>
        <source>Light or dark; by default as the system is set.</source>
        <translation>Hell oder dunkel; ohne eigene Wahl so, wie das System eingestellt ist.</translation>
    </message>
    <message>
        <source>Light</source>
        <translation>Hell</translation>
    </message>
    <message>
        <source>Dark</source>
        <translation>Dunkel</translation>
    </message>
    <message>
        <source>Read answers to the screen reader</source>
        <translation>Antworten dem Bildschirmleser vorlesen</translation>
    </message>
    <message>
        <source>Each finished sentence of an answer is announced while the rest is still being written. Without a screen reader this changes nothing.</source>
        <translation>Jeder fertige Satz einer Antwort wird angesagt, während der Rest noch geschrieben wird. Ohne Bildschirmleser ändert das nichts.</translation>
    </message>
    <message>
        <source>The bundle that answers. Empty is the bundled demo model, which knows only its small synthetic world.</source>
        <translation>Das Bundle, das antwortet. Leer ist das mitgelieferte Demo-Modell, das nur seine kleine künstliche Welt kennt.</translation>
    </message>
    <message>
        <source>Further folders with models</source>
        <translation>Weitere Ordner mit Modellen</translation>
    </message>
    <message>
        <source>Bundles in these folders are offered where they lie, without a copy; the program never deletes anything there.</source>
        <translation>Bundles in diesen Ordnern werden an Ort und Stelle angeboten, ohne Kopie; das Programm löscht dort nie etwas.</translation>
    </message>
    <message>
        <source>Compute on</source>
        <translation>Rechnen auf</translation>
    </message>
    <message>
        <source>Automatic takes a GPU where what it needs is there: TensorRT engines or a matching ONNX Runtime; else the CPU, which every model can run on. What was asked for and is not there is told, never changed in silence.</source>
        <translation>„Automatisch“ nimmt eine GPU, wo alles Nötige da ist: TensorRT-Engines oder eine passende ONNX Runtime; sonst die CPU, auf der jedes Modell läuft. Was verlangt wurde und nicht da ist, wird gesagt und nie stillschweigend ersetzt.</translation>
    </message>
    <message>
        <source>Automatic</source>
        <translation>Automatisch</translation>
    </message>
    <message>
        <source>Exact arithmetic</source>
        <translation>Genau rechnen</translation>
    </message>
    <message>
        <source>Four-bit models round what flows through them to 8 bits for speed. Exact keeps 32 bits: slower, a little closer to the published model. Other models are not changed.</source>
        <translation>Vier-Bit-Modelle runden, was durch sie fließt, der Geschwindigkeit wegen auf 8 Bit. Genau behält 32 Bit: langsamer, etwas näher am veröffentlichten Modell. An anderen Modellen ändert sich nichts.</translation>
    </message>
    <message>
        <source>Threads</source>
        <translation>Threads</translation>
    </message>
    <message>
        <source>How many processor cores may work on an answer. Fewer leave room for other programs.</source>
        <translation>Wie viele Prozessorkerne an einer Antwort arbeiten dürfen. Weniger lassen anderen Programmen Platz.</translation>
    </message>
    <message>
        <source>One per core</source>
        <translation>Einer je Kern</translation>
    </message>
    <message>
        <source>Disk space for quick starts, in GB</source>
        <translation>Speicherplatz für schnelles Starten, in GB</translation>
    </message>
    <message>
        <source>Large models are kept a second time, in the form that this processor wants, so that they open in seconds and take less memory. Beyond this size the longest unused goes; 0 keeps none. The folder may be deleted at any time.</source>
        <translation>Große Modelle werden ein zweites Mal aufgehoben, in der Form, die dieser Prozessor braucht, damit sie in Sekunden öffnen und weniger Arbeitsspeicher belegen. Über diese Größe hinaus geht das am längsten unbenutzte; 0 hebt keines auf. Der Ordner darf jederzeit gelöscht werden.</translation>
    </message>
    <message>
        <source>Frames</source>
        <translation>Bilder</translation>
    </message>
    <message>
        <source>How many pictures of a video the model sees, spread evenly. More catch short events but take longer; far from the number it was trained with, a model answers worse.</source>
        <translation>Wie viele Bilder eines Videos das Modell sieht, gleichmäßig verteilt. Mehr erfassen auch kurze Ereignisse, dauern aber länger; weit von der Zahl, mit der es trainiert wurde, antwortet ein Modell schlechter.</translation>
    </message>
    <message>
        <source>As the model was trained</source>
        <translation>Wie beim Training des Modells</translation>
    </message>
    <message>
        <source>Picture and sound</source>
        <translation>Bild und Ton</translation>
    </message>
    <message>
        <source>What of a clip the model gets when you open it; each question can differ.</source>
        <translation>Was das Modell von einem Clip bekommt, wenn Sie ihn öffnen; jede Frage kann davon abweichen.</translation>
    </message>
    <message>
        <source>Picture only</source>
        <translation>Nur Bild</translation>
    </message>
    <message>
        <source>Sound only</source>
        <translation>Nur Ton</translation>
    </message>
    <message>
        <source>How sound is heard</source>
        <translation>Wie Ton gehört wird</translation>
    </message>
    <message>
        <source>Covering hears the sound in consecutive windows at its natural speed. The published way hears eight short snippets of a video, or 30 seconds of a sound file.</source>
        <translation>Durchgehend hört den Ton in aufeinanderfolgenden Fenstern in seinem natürlichen Tempo. Die veröffentlichte Art hört acht kurze Schnipsel eines Videos oder 30 Sekunden einer Tondatei.</translation>
    </message>
    <message>
        <source>Covering</source>
        <translation>Durchgehend</translation>
    </message>
    <message>
        <source>As published</source>
        <translation>Wie veröffentlicht</translation>
    </message>
    <message>
        <source>Temperature</source>
        <translation>Temperatur</translation>
    </message>
    <message>
        <source>0 always takes the likeliest word, so that the same question gets the same answer. Higher values vary more and are wrong more often.</source>
        <translation>0 nimmt immer das wahrscheinlichste Wort, sodass dieselbe Frage dieselbe Antwort bekommt. Höhere Werte wechseln mehr und sind öfter falsch.</translation>
    </message>
    <message>
        <source>Top-p</source>
        <translation>Top-p</translation>
    </message>
    <message>
        <source>With a temperature above 0: only the likeliest words that together reach this share are drawn from. 1 keeps all.</source>
        <translation>Bei einer Temperatur über 0: Gezogen wird nur aus den wahrscheinlichsten Wörtern, die zusammen diesen Anteil erreichen. 1 behält alle.</translation>
    </message>
    <message>
        <source>Top-k</source>
        <translation>Top-k</translation>
    </message>
    <message>
        <source>With a temperature above 0: only this many of the likeliest words are drawn from. 0 keeps all.</source>
        <translation>Bei einer Temperatur über 0: Gezogen wird nur aus so vielen der wahrscheinlichsten Wörter. 0 behält alle.</translation>
    </message>
    <message>
        <source>As the model says</source>
        <translation>Wie im Modell angegeben</translation>
    </message>
    <message>
        <source>Repetition penalty</source>
        <translation>Wiederholungsstrafe</translation>
    </message>
    <message>
        <source>Above 1, words that the answer already holds become less likely. It stops a model that goes round in circles, and spoils lists and names when set too high.</source>
        <translation>Über 1 werden Wörter, die in der Antwort schon stehen, unwahrscheinlicher. Das hält ein Modell auf, das sich im Kreis dreht, und verdirbt Listen und Namen, wenn es zu hoch ist.</translation>
    </message>
    <message>
        <source>Seed</source>
        <translation>Startwert (Seed)</translation>
    </message>
    <message>
        <source>Where the chance of a temperature above 0 begins: the same seed gives the same answer again.</source>
        <translation>Wo der Zufall bei einer Temperatur über 0 beginnt: Derselbe Startwert ergibt wieder dieselbe Antwort.</translation>
    </message>
    <message>
        <source>Longest answer</source>
        <translation>Längste Antwort</translation>
    </message>
    <message>
        <source>An answer is cut after so many tokens (a token is about three quarters of a word).</source>
        <translation>Nach so vielen Token wird eine Antwort abgeschnitten (ein Token ist etwa ein dreiviertel Wort).</translation>
    </message>
    <message>
        <source>2048, or what the model has room for</source>
        <translation>2048, oder wofür das Modell Platz hat</translation>
    </message>
    <message>
        <source>Keep a history</source>
        <translation>Verlauf behalten</translation>
    </message>
    <message>
        <source>Conversations and the list of recent clips are kept on this computer, in your own data folder. Off: they are gone when the program ends; what was kept before stays until you delete it.</source>
        <translation>Unterhaltungen und die Liste der letzten Clips werden auf diesem Computer behalten, in Ihrem eigenen Datenordner. Aus: Sie sind weg, wenn das Programm endet; was vorher behalten wurde, bleibt, bis Sie es löschen.</translation>
    </message>
</context>
<context>
    <name>SettingsDesk</name>
    <message>
        <source>The language changes when the program is started again.</source>
        <translation>Die Sprache wechselt, wenn das Programm neu gestartet wird.</translation>
    </message>
</context>
<context>
    <name>SettingsPage</name>
    <message>
        <source>Settings</source>
        <translation>Einstellungen</translation>
    </message>
    <message>
        <source>Search settings</source>
        <translation>Einstellungen durchsuchen</translation>
    </message>
    <message>
        <source>Reset all…</source>
        <translation>Alle zurücksetzen …</translation>
    </message>
    <message>
        <source>No setting fits.</source>
        <translation>Keine Einstellung passt.</translation>
    </message>
    <message>
        <source>Reset all settings</source>
        <translation>Alle Einstellungen zurücksetzen</translation>
    </message>
    <message>
        <source>Set everything on this page to its default?</source>
        <translation>Alles auf dieser Seite auf die Vorgabe setzen?</translation>
    </message>
    <message>
        <source>Conversations and models are not touched.</source>
        <translation>Unterhaltungen und Modelle bleiben unberührt.</translation>
    </message>
    <message>
        <source>Reset</source>
        <translation>Zurücksetzen</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
</context>
<context>
    <name>ShortcutSheet</name>
    <message>
        <source>Keyboard shortcuts</source>
        <translation>Tastenkürzel</translation>
    </message>
    <message>
        <source>Search by command or key</source>
        <translation>Nach Befehl oder Taste suchen</translation>
    </message>
    <message>
        <source>Search shortcuts</source>
        <translation>Tastenkürzel durchsuchen</translation>
    </message>
    <message>
        <source>Shortcuts</source>
        <translation>Tastenkürzel</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
    <message>
        <source>General</source>
        <translation>Allgemein</translation>
    </message>
    <message>
        <source>No shortcut fits.</source>
        <translation>Kein Tastenkürzel passt.</translation>
    </message>
</context>
<context>
    <name>Stages</name>
    <message>
        <source>Opening the model</source>
        <translation>Modell wird geöffnet</translation>
    </message>
    <message>
        <source>Reading the clip</source>
        <translation>Clip wird gelesen</translation>
    </message>
    <message>
        <source>Looking at the frames</source>
        <translation>Bilder werden angesehen</translation>
    </message>
    <message>
        <source>Listening to the sound</source>
        <translation>Ton wird angehört</translation>
    </message>
    <message>
        <source>Taking it in</source>
        <translation>Eindrücke werden verarbeitet</translation>
    </message>
    <message>
        <source>{what}, {done} of {total}</source>
        <translation>{what}, {done} von {total}</translation>
    </message>
</context>
<context>
    <name>StatusLine</name>
    <message>
        <source>Model</source>
        <translation>Modell</translation>
    </message>
    <message>
        <source>Device</source>
        <translation>Gerät</translation>
    </message>
    <message>
        <source>Camera and microphone</source>
        <translation>Kamera und Mikrofon</translation>
    </message>
    <message>
        <source>Safe mode</source>
        <translation>Abgesicherter Modus</translation>
    </message>
    <message>
        <source>Network</source>
        <translation>Netz</translation>
    </message>
    <message>
        <source>safe mode</source>
        <translation>abgesichert</translation>
    </message>
    <message>
        <source>Connections made: {made} (refused: {refused})</source>
        <translation>Verbindungen: {made} (abgelehnt: {refused})</translation>
    </message>
    <message>
        <source>offline</source>
        <translation>offline</translation>
    </message>
    <message>
        <source>online: {made}</source>
        <translation>online: {made}</translation>
    </message>
    <message>
        <source>, cameras: {cameras}</source>
        <translation>, Kameras: {cameras}</translation>
    </message>
    <message>
        <source>Nothing leaves this computer. Connections to other computers, and questions for their names, are counted in the window, in the model&apos;s process and in those that read clips. Made: {made}. Tried by a library and refused: {refused}. Streams of cameras whose address you gave: {cameras}.</source>
        <translation>Nichts verlässt diesen Computer. Verbindungen zu anderen Computern und Fragen nach deren Namen werden im Fenster, im Prozess des Modells und in denen, die Clips lesen, gezählt. Hergestellt: {made}. Von einer Bibliothek versucht und abgelehnt: {refused}. Bildströme von Kameras, deren Adresse Sie angegeben haben: {cameras}.</translation>
    </message>
</context>
<context>
    <name>StrayErrors</name>
    <message>
        <source>Something unforeseen happened ({kind}); if it happens again, save a report from the Help menu and send it to the maintainers.</source>
        <translation>Etwas Unvorhergesehenes ist passiert ({kind}); wenn es wieder passiert, speichern Sie im Menü „Hilfe“ einen Bericht und schicken Sie ihn den Entwicklern.</translation>
    </message>
</context>
<context>
    <name>Suggestions</name>
    <message>
        <source>What do you hear?</source>
        <translation>Was ist zu hören?</translation>
    </message>
    <message>
        <source>Does anybody speak?</source>
        <translation>Spricht jemand?</translation>
    </message>
    <message>
        <source>What is in the picture?</source>
        <translation>Was ist auf dem Bild?</translation>
    </message>
    <message>
        <source>What stands out?</source>
        <translation>Was fällt auf?</translation>
    </message>
    <message>
        <source>What happens here?</source>
        <translation>Was geschieht hier?</translation>
    </message>
    <message>
        <source>Who or what can be seen?</source>
        <translation>Wer oder was ist zu sehen?</translation>
    </message>
</context>
<context>
    <name>SwitchControl</name>
    <message>
        <source>On</source>
        <translation>Ein</translation>
    </message>
    <message>
        <source>Off</source>
        <translation>Aus</translation>
    </message>
</context>
<context>
    <name>Talk</name>
    <message>
        <source>Looking for {name}, which is not where it was.</source>
        <translation>{name} liegt nicht mehr, wo es lag, und wird gesucht.</translation>
    </message>
    <message>
        <source>The clip was found again: {path}</source>
        <translation>Der Clip ist wiedergefunden: {path}</translation>
    </message>
    <message>
        <source>{path} is gone; the conversation can still be read.</source>
        <translation>{path} ist verschwunden; die Unterhaltung lässt sich weiter lesen.</translation>
    </message>
    <message>
        <source>{path} is another file now than the one asked about; the conversation can still be read.</source>
        <translation>{path} ist jetzt eine andere Datei als die, nach der gefragt wurde; die Unterhaltung lässt sich weiter lesen.</translation>
    </message>
    <message>
        <source>There is no clip to ask about; open one first.</source>
        <translation>Es gibt keinen Clip, nach dem gefragt werden kann; öffnen Sie zuerst einen.</translation>
    </message>
    <message>
        <source>Waiting for the model</source>
        <translation>Wartet auf das Modell</translation>
    </message>
    <message>
        <source>{name} has another content now than the clip that was asked about; new answers are about what it is now.</source>
        <translation>{name} hat jetzt einen anderen Inhalt als der Clip, nach dem gefragt wurde; neue Antworten gelten dem jetzigen.</translation>
    </message>
</context>
<context>
    <name>TextControl</name>
    <message>
        <source>Choose…</source>
        <translation>Auswählen …</translation>
    </message>
    <message>
        <source>Choose a folder for {setting}</source>
        <translation>Ordner wählen für {setting}</translation>
    </message>
    <message>
        <source>empty</source>
        <translation>leer</translation>
    </message>
</context>
<context>
    <name>Transcript</name>
    <message>
        <source>Conversation</source>
        <translation>Unterhaltung</translation>
    </message>
    <message>
        <source>Scroll to the end</source>
        <translation>Zum Ende</translation>
    </message>
</context>
<context>
    <name>TransportRow</name>
    <message>
        <source>Time</source>
        <translation>Zeit</translation>
    </message>
    <message>
        <source>Loudness</source>
        <translation>Lautstärke</translation>
    </message>
    <message>
        <source>Play the range {start} to {end}</source>
        <translation>Bereich {start} bis {end} abspielen</translation>
    </message>
    <message>
        <source>Speed (J slower, L faster)</source>
        <translation>Geschwindigkeit (J langsamer, L schneller)</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>Geschwindigkeit</translation>
    </message>
</context>
<context>
    <name>TurnMenu</name>
    <message>
        <source>Copy selection</source>
        <translation>Auswahl kopieren</translation>
    </message>
    <message>
        <source>Copy answer</source>
        <translation>Antwort kopieren</translation>
    </message>
    <message>
        <source>Copy answer as Markdown</source>
        <translation>Antwort als Markdown kopieren</translation>
    </message>
    <message>
        <source>Copy question</source>
        <translation>Frage kopieren</translation>
    </message>
    <message>
        <source>Show receipt</source>
        <translation>Beleg zeigen</translation>
    </message>
    <message>
        <source>Copy receipt (JSON)</source>
        <translation>Beleg kopieren (JSON)</translation>
    </message>
    <message>
        <source>Answer again</source>
        <translation>Noch einmal antworten</translation>
    </message>
    <message>
        <source>Edit and ask again</source>
        <translation>Bearbeiten und noch einmal fragen</translation>
    </message>
</context>
<context>
    <name>TurnView</name>
    <message>
        <source>Question {number}</source>
        <translation>Frage {number}</translation>
    </message>
    <message>
        <source>Edit and ask again</source>
        <translation>Bearbeiten und noch einmal fragen</translation>
    </message>
    <message>
        <source>Answer {number}</source>
        <translation>Antwort {number}</translation>
    </message>
    <message>
        <source>Copy the answer</source>
        <translation>Antwort kopieren</translation>
    </message>
    <message>
        <source>Answer again</source>
        <translation>Noch einmal antworten</translation>
    </message>
    <message>
        <source>More about this answer</source>
        <translation>Mehr zu dieser Antwort</translation>
    </message>
    <message>
        <source>{doing} …</source>
        <translation>{doing} …</translation>
    </message>
    <message>
        <source>There was no answer.</source>
        <translation>Es gab keine Antwort.</translation>
    </message>
    <message>
        <source>Failed: {sentence}</source>
        <translation>Fehlgeschlagen: {sentence}</translation>
    </message>
    <message>
        <source>Receipt</source>
        <translation>Beleg</translation>
    </message>
    <message>
        <source>What this answer was made from</source>
        <translation>Woraus diese Antwort entstand</translation>
    </message>
    <message>
        <source>Copy receipt (JSON)</source>
        <translation>Beleg kopieren (JSON)</translation>
    </message>
    <message>
        <source>Waiting …</source>
        <translation>Wartet …</translation>
    </message>
    <message>
        <source>Writing …</source>
        <translation>Schreibt …</translation>
    </message>
    <message>
        <source>Stopped here.</source>
        <translation>Hier angehalten.</translation>
    </message>
    <message>
        <source>Why there is no answer</source>
        <translation>Warum es keine Antwort gibt</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>Noch einmal versuchen</translation>
    </message>
</context>
<context>
    <name>WatchRow</name>
    <message>
        <source>a question of yes or no: is there a dog?</source>
        <translation>eine Ja-Nein-Frage: Ist ein Hund da?</translation>
    </message>
    <message>
        <source>Tell me when the answer to this becomes yes</source>
        <translation>Bescheid sagen, sobald die Antwort hierauf Ja wird</translation>
    </message>
    <message>
        <source>&amp;Tell me when …</source>
        <translation>&amp;Bescheid sagen, wenn …</translation>
    </message>
    <message>
        <source>Stop waiting</source>
        <translation>Nicht mehr warten</translation>
    </message>
    <message>
        <source>Wait for it</source>
        <translation>Darauf warten</translation>
    </message>
    <message>
        <source>Looks: {looks} · questions to the model: {asked}</source>
        <translation>Nachgesehen: {looks} · Fragen an das Modell: {asked}</translation>
    </message>
</context>
<context>
    <name>WindowActions</name>
    <message>
        <source>Clip</source>
        <translation>Clip</translation>
    </message>
    <message>
        <source>Conversation</source>
        <translation>Unterhaltung</translation>
    </message>
    <message>
        <source>View</source>
        <translation>Ansicht</translation>
    </message>
    <message>
        <source>Help</source>
        <translation>Hilfe</translation>
    </message>
    <message>
        <source>&amp;Open…</source>
        <translation>Ö&amp;ffnen …</translation>
    </message>
    <message>
        <source>Open &amp;folder of frames…</source>
        <translation>Ordner mit &amp;Einzelbildern öffnen …</translation>
    </message>
    <message>
        <source>&amp;Paste file or path</source>
        <translation>Datei oder Pfad einf&amp;ügen</translation>
    </message>
    <message>
        <source>Try the &amp;demo clip</source>
        <translation>&amp;Demo-Clip ausprobieren</translation>
    </message>
    <message>
        <source>&amp;Close clip</source>
        <translation>Clip &amp;schließen</translation>
    </message>
    <message>
        <source>&amp;Quit</source>
        <translation>&amp;Beenden</translation>
    </message>
    <message>
        <source>&amp;New conversation</source>
        <translation>&amp;Neue Unterhaltung</translation>
    </message>
    <message>
        <source>&amp;Find the clip that is gone…</source>
        <translation>Verschwundenen Clip &amp;suchen …</translation>
    </message>
    <message>
        <source>Export as &amp;Markdown…</source>
        <translation>Als &amp;Markdown exportieren …</translation>
    </message>
    <message>
        <source>Export as &amp;JSON…</source>
        <translation>Als &amp;JSON exportieren …</translation>
    </message>
    <message>
        <source>Go to the &amp;question</source>
        <translation>Zur &amp;Frage</translation>
    </message>
    <message>
        <source>Go to the &amp;player</source>
        <translation>Zum &amp;Player</translation>
    </message>
    <message>
        <source>&amp;Search the history</source>
        <translation>Verlauf &amp;durchsuchen</translation>
    </message>
    <message>
        <source>&amp;History</source>
        <translation>&amp;Verlauf</translation>
    </message>
    <message>
        <source>&amp;Conversation page</source>
        <translation>Seite &amp;Unterhaltung</translation>
    </message>
    <message>
        <source>&amp;Live: camera and microphone</source>
        <translation>&amp;Live: Kamera und Mikrofon</translation>
    </message>
    <message>
        <source>&amp;Models</source>
        <translation>&amp;Modelle</translation>
    </message>
    <message>
        <source>S&amp;ettings</source>
        <translation>&amp;Einstellungen</translation>
    </message>
    <message>
        <source>F&amp;ull screen</source>
        <translation>Voll&amp;bild</translation>
    </message>
    <message>
        <source>&amp;All commands…</source>
        <translation>&amp;Alle Befehle …</translation>
    </message>
    <message>
        <source>&amp;Keyboard shortcuts</source>
        <translation>&amp;Tastenkürzel</translation>
    </message>
    <message>
        <source>&amp;Leave safe mode</source>
        <translation>A&amp;bgesicherten Modus verlassen</translation>
    </message>
    <message>
        <source>Save a &amp;report for the maintainers…</source>
        <translation>Be&amp;richt für die Entwickler speichern …</translation>
    </message>
    <message>
        <source>&amp;About VL2 Desktop</source>
        <translation>&amp;Über VL2 Desktop</translation>
    </message>
    <message>
        <source>&amp;Clip</source>
        <translation>&amp;Clip</translation>
    </message>
    <message>
        <source>Open &amp;recent</source>
        <translation>Zuletzt &amp;geöffnet</translation>
    </message>
    <message>
        <source>&amp;Playback</source>
        <translation>&amp;Wiedergabe</translation>
    </message>
    <message>
        <source>C&amp;onversation</source>
        <translation>&amp;Unterhaltung</translation>
    </message>
    <message>
        <source>&amp;Live</source>
        <translation>&amp;Live</translation>
    </message>
    <message>
        <source>&amp;View</source>
        <translation>&amp;Ansicht</translation>
    </message>
    <message>
        <source>&amp;Help</source>
        <translation>&amp;Hilfe</translation>
    </message>
</context>
<context>
    <name>WindowLayout</name>
    <message>
        <source>Pages</source>
        <translation>Seiten</translation>
    </message>
</context>
<context>
    <name>Wording</name>
    <message>
        <source>{n} s</source>
        <translation>{n} s</translation>
    </message>
    <message>
        <source>{n} min</source>
        <translation>{n} min</translation>
    </message>
    <message>
        <source>{n} h</source>
        <translation>{n} h</translation>
    </message>
    <message>
        <source>{n} %</source>
        <translation>{n} %</translation>
    </message>
    <message>
        <source>Picture encoder</source>
        <translation>Bild-Encoder</translation>
    </message>
    <message>
        <source>Connector</source>
        <translation>Verbinder</translation>
    </message>
    <message>
        <source>Sound encoder</source>
        <translation>Ton-Encoder</translation>
    </message>
    <message>
        <source>Language model</source>
        <translation>Sprachmodell</translation>
    </message>
    <message>
        <source>Word embeddings</source>
        <translation>Wort-Einbettungen</translation>
    </message>
    <message>
        <source>Memory of the conversation</source>
        <translation>Gedächtnis der Unterhaltung</translation>
    </message>
    <message>
        <source>The program itself</source>
        <translation>Das Programm selbst</translation>
    </message>
    <message>
        <source>This demo model knows only its small synthetic world: coloured shapes that move, bounce, appear and disappear, flashes, tones, beeps and noise. About anything else its answer means nothing.</source>
        <translation>Dieses Demo-Modell kennt nur seine kleine künstliche Welt: farbige Formen, die sich bewegen, abprallen, erscheinen und verschwinden, Blitze, Töne, Pieptöne und Rauschen. Zu allem anderen bedeutet seine Antwort nichts.</translation>
    </message>
</context>
<context>
    <name>WorkCard</name>
    <message>
        <source>Close this message</source>
        <translation>Meldung schließen</translation>
    </message>
</context>
<context>
    <name>_Line</name>
    <message>
        <source>Close this message</source>
        <translation>Meldung schließen</translation>
    </message>
    <message>
        <source>Warning</source>
        <translation>Warnung</translation>
    </message>
    <message>
        <source>Error</source>
        <translation>Fehler</translation>
    </message>
    <message>
        <source>Note</source>
        <translation>Hinweis</translation>
    </message>
</context>
</TS>
