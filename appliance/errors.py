"""The error base class, the kinds that every domain shares, and the one table of codes.

Other errors are subclassed next to the code that raises them; each names its code, and the
table says what a person is told. Domain code knows no HTTP beyond that: the edge reads `status`
here.
"""

from dataclasses import dataclass

from appliance.trail_errors import TRAIL


class ApplianceError(Exception):
    """Expected failure, safe to show to the caller. Anything else is a bug and answers 500."""

    code: str = "CM-NET-00"


class FormatError(ApplianceError):
    """Bytes that do not follow the format. Never raised for well-formed but false claims."""

    code = "CM-NET-01"


class VerificationError(ApplianceError):
    """A well-formed claim that is false. The message says which check failed."""

    code = "CM-JRN-04"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a code means. Texts are French msgids; the catalogue has the English."""

    status: int  # HTTP
    title: str  # what happened
    meaning: str
    remedy: str  # possible for the person who reads it


CODES: dict[str, Explanation] = {
    **{code: Explanation(*told) for code, told in TRAIL.items()},
    "CM-NET-00": Explanation(
        500, "Erreur interne",
        "Le service a rencontré un défaut.",
        "Signalez le code à l’exploitant."),
    "CM-NET-01": Explanation(
        400, "Demande illisible",
        "Un champ manque, n’est pas permis ou n’a pas la bonne forme.",
        "Corrigez la demande ; le message dit où."),
    "CM-BUD-02": Explanation(
        402, "Budget épuisé",
        "La demande, au pire de son coût, dépasserait un budget.",
        "Réduisez la demande, attendez la période suivante ou demandez une rallonge."),
    "CM-NET-02": Explanation(
        413, "Demande trop longue",
        "La demande dépasse la longueur permise sur ce site.",
        "Raccourcissez-la, ou déposez le texte dans une collection."),
    "CM-NET-03": Explanation(
        404, "Adresse inconnue",
        "Rien ne répond à cette adresse.",
        "Vérifiez l’adresse."),
    "CM-NET-04": Explanation(
        405, "Méthode non permise",
        "Cette adresse existe, mais pas pour cette méthode.",
        "Employez la méthode que donne l’en-tête Allow."),
    "CM-MOD-01": Explanation(
        503, "Modèle indisponible",
        "Le moteur de ce modèle ne répond pas.",
        "Réessayez dans un instant ; la recherche dans les documents reste possible."),
    "CM-MOD-02": Explanation(
        502, "Réponse illisible",
        "Le moteur a répondu autre chose que ce qui était attendu.",
        "Réessayez ; si cela persiste, signalez le code à l’exploitant."),
    "CM-MOD-03": Explanation(
        429, "Trop de demandes",
        "Toutes les places du modèle sont prises.",
        "Réessayez dans quelques secondes."),
    "CM-MOD-04": Explanation(
        400, "Demande refusée par le modèle",
        "Le moteur ne peut pas traiter cette demande, souvent parce qu’elle est trop longue.",
        "Corrigez la demande ; le message dit pourquoi."),
    "CM-FIL-01": Explanation(
        403, "Question refusée par un filtre",
        "La question contient ce qu’une règle du site interdit d’envoyer.",
        "Retirez ce que nomme le message, puis recommencez."),
    "CM-FIL-02": Explanation(
        403, "Réponse retenue par un filtre",
        "La réponse contenait ce qu’une règle du site interdit de montrer.",
        "Posez la question autrement, ou demandez au RSSI de revoir la règle."),
    "CM-DRT-11": Explanation(
        403, "Limite du site dépassée",
        "La longueur de réponse ou la température demandée dépasse la limite du site.",
        "Demandez une valeur permise ; le message la donne."),
    "CM-DRT-12": Explanation(
        403, "Modèle non permis",
        "Ce modèle n’existe pas, ou ne vous est pas ouvert.",
        "Choisissez un modèle de la liste /v1/models."),
    "CM-DRT-13": Explanation(
        403, "Collection à nommer",
        "Sur ce site, aucun modèle ne répond sans documents.",
        "Nommez une collection que vous pouvez lire."),
    "CM-DOC-05": Explanation(
        503, "Documents indisponibles",
        "Les documents ne peuvent pas être lus pour le moment.",
        "Réessayez dans un instant ; l’exploitant est prévenu."),
    "CM-MOD-05": Explanation(
        503, "Service arrêté",
        "Une personne habilitée a arrêté toute génération.",
        "Attendez la remise en service : deux personnes doivent l’approuver."),
    "CM-NET-05": Explanation(
        503, "Démarrage impossible",
        "Un programme de l’appliance n’a pas démarré.",
        "Lisez la fin de son journal, dans le message, puis recommencez."),
    "CM-NET-06": Explanation(
        503, "Machine non prête",
        "Il manque à cette machine de quoi faire tourner l’appliance.",
        "Suivez le remède que donne chaque phrase du message."),
    "CM-IDE-01": Explanation(
        401, "Identification nécessaire",
        "La demande ne porte pas d’identité valable : absente, expirée ou révoquée.",
        "Connectez-vous, ou présentez une clé d’application en cours de validité."),
    "CM-IDE-02": Explanation(
        403, "Second facteur nécessaire",
        "Votre rôle demande un code à usage unique, et cette session n’en a pas présenté.",
        "Déconnectez-vous, puis connectez-vous avec votre code."),
    "CM-IDE-03": Explanation(
        503, "Identité invérifiable",
        "Le service ne peut pas savoir si une identité a été révoquée ; il refuse donc tout.",
        "Attendez une minute, puis prévenez l’exploitant."),
    "CM-IDE-04": Explanation(
        403, "Confirmation nécessaire",
        "Cette action est sensible : elle demande un code à usage unique récent.",
        "Confirmez avec votre code, puis recommencez."),
    "CM-IDE-05": Explanation(
        503, "Connexion impossible",
        "Le service d’identité ne répond pas.",
        "Attendez une minute, puis prévenez l’exploitant."),
    "CM-IDE-06": Explanation(
        400, "Connexion interrompue",
        "La réponse du service d’identité ne correspond pas à une connexion commencée ici.",
        "Recommencez la connexion depuis l’accueil."),
    "CM-IDE-07": Explanation(
        403, "Formulaire périmé",
        "La demande ne vient pas d’une page de cette session.",
        "Rechargez la page, puis recommencez."),
    "CM-IDE-08": Explanation(
        502, "Provisionnement refusé",
        "Keycloak a refusé ce que le fichier déclare.",
        "Lisez le message, corrigez le fichier ou le serveur, puis relancez la commande."),
    "CM-IDE-09": Explanation(
        404, "Compte inconnu",
        "Aucun compte de la démonstration n’a ce nom ou ce rôle, ou il n’a pas de code.",
        "Consultez la liste des comptes affichée au démarrage."),
    "CM-IDE-10": Explanation(
        422, "Accès à la baie refusé",
        "Ce compte de la machine ne peut pas recevoir d’accès de cette façon.",
        "Lisez le message, puis recommencez à la baie, dans un terminal."),
    "CM-DRT-01": Explanation(
        403, "Action non permise",
        "Votre rôle ne permet pas cette action.",
        "Demandez ce droit au RSSI du site."),
    "CM-DRT-02": Explanation(
        403, "Équipe à préciser",
        "Vous appartenez à plusieurs équipes, ou pas à celle que la demande nomme.",
        "Nommez l’une de vos équipes."),
    "CM-DRT-03": Explanation(
        403, "Rôles incompatibles",
        "Un auditeur ne peut pas être aussi exploitant, RSSI ou administrateur.",
        "Demandez à l’administrateur de retirer l’un des rôles."),
    "CM-DRT-04": Explanation(
        404, "Clé inconnue",
        "Cette clé d’application n’existe pas, ou n’est pas à vous.",
        "Revenez à la liste de vos clés."),
    "CM-DRT-05": Explanation(
        422, "Clé refusée",
        "Les termes de la clé ne sont pas permis : fin, droits, marquage ou réseau.",
        "Corrigez les termes ; le message dit lequel."),
    "CM-DOC-01": Explanation(
        404, "Introuvable",
        "Cette collection ou ce document n’existe pas, ou ne vous est pas ouvert.",
        "Vérifiez l’adresse, ou demandez l’accès au responsable de la collection."),
    "CM-DOC-02": Explanation(
        413, "Fichier trop volumineux",
        "Un fichier dépasse la taille permise pour un dépôt.",
        "Découpez le document, ou demandez un import à l’exploitant."),
    "CM-DOC-03": Explanation(
        422, "Fichier vide",
        "Le fichier ne contient rien.",
        "Vérifiez le fichier, puis déposez-le de nouveau."),
    "CM-DOC-04": Explanation(
        503, "Original illisible",
        "L’original chiffré manque ou ne correspond pas à son empreinte.",
        "Prévenez l’exploitant : une sauvegarde est nécessaire."),
    "CM-NET-07": Explanation(
        503, "Passerelle injoignable",
        "La demande n’a pas pu être transmise, ou sa réponse s’est interrompue.",
        "Réessayez dans un instant ; si cela dure, prévenez l’exploitant."),
    "CM-NET-08": Explanation(
        503, "Service momentanément indisponible",
        "Une partie du service ne répond pas. Rien n’a été perdu.",
        "Attendez quelques secondes, puis recommencez."),
    "CM-INS-01": Explanation(
        422, "Livraison illisible",
        "Un fichier de la livraison n’a pas la forme attendue.",
        "Employez une version de casemate au moins aussi récente que la livraison."),
    "CM-INS-02": Explanation(
        403, "Racine de confiance inconnue",
        "L’éditeur de cette livraison n’est pas celui que ce site connaît.",
        "N’installez rien ; comparez l’empreinte avec la fiche et prévenez le RSSI."),
    "CM-INS-03": Explanation(
        403, "Signature insuffisante",
        "La livraison n’est pas signée par assez de clés de confiance.",
        "N’installez rien ; recopiez les supports, puis prévenez le RSSI."),
    "CM-INS-04": Explanation(
        422, "Support mal copié",
        "Un petit fichier d’un support manque, ou n’est pas celui attendu.",
        "Recopiez le fichier nommé, puis relancez la même commande."),
    "CM-INS-05": Explanation(
        409, "Horloge en retard",
        "L’horloge de la machine est avant la date de la livraison.",
        "Réglez l’horloge sur une source sûre, puis relancez."),
    "CM-INS-06": Explanation(
        409, "Livraison plus ancienne",
        "Ce site a déjà reçu une livraison plus récente.",
        "Apportez la dernière livraison ; la précédente reste gardée sur ce site."),
    "CM-INS-07": Explanation(
        403, "Livraison révoquée",
        "L’éditeur a retiré sa confiance à ce qui est nommé.",
        "N’installez rien ; demandez une nouvelle livraison."),
    "CM-INS-08": Explanation(
        409, "Autre machine",
        "La livraison n’est pas faite pour ce système.",
        "Installez-la sur Debian 13, x86-64."),
    "CM-INS-09": Explanation(
        507, "Place insuffisante",
        "Le disque ou le support n’a pas la place nécessaire.",
        "Libérez de la place, puis relancez : la copie reprend où elle s’est arrêtée."),
    "CM-INS-10": Explanation(
        409, "Supports mélangés",
        "Les supports ne sont pas d’une même livraison.",
        "Ne gardez que les supports d’une même livraison."),
    "CM-INS-11": Explanation(
        422, "Morceau absent ou abîmé",
        "Une partie de la livraison manque ou a changé ; le message dit où.",
        "Recopiez ce qui est nommé, puis relancez : le reste n’est pas relu."),
    "CM-INS-12": Explanation(
        422, "Fichier en trop",
        "Un support porte un fichier que la livraison ne contient pas.",
        "Retirez le fichier nommé, puis relancez."),
    "CM-INS-13": Explanation(
        409, "Base absente",
        "Ce delta complète une livraison que ce site n’a pas.",
        "Apportez la livraison nommée, ou une livraison complète."),
    "CM-INS-14": Explanation(
        503, "Magasin indisponible",
        "Le magasin des livraisons est pris ou ne peut pas être écrit.",
        "Attendez la fin de l’autre commande, ou relancez en administrateur."),
    "CM-INS-15": Explanation(
        500, "Magasin abîmé",
        "Un fichier du magasin n’est pas celui qui fut écrit.",
        "Vérifiez le disque, puis : casemate bundle status --repair."),
    "CM-INS-30": Explanation(
        502, "Paquets Debian introuvables",
        "apt, sur la machine de construction, ne peut pas nommer ou recevoir un paquet.",
        "Lisez la réponse d’apt ; si l’archive a changé : make site-locks."),
    "CM-INS-31": Explanation(
        422, "Modèle refusé",
        "Le dossier du modèle contient ce qui ne peut pas voyager.",
        "Retirez le fichier nommé, puis verrouillez le modèle à nouveau."),
    "CM-INS-32": Explanation(
        502, "Élément différent de son verrou",
        "Un élément de la livraison manque, ou n’est pas celui que nomme son verrou.",
        "Relancez : le bon est repris s’il existe ; sinon renouvelez les verrous."),
    "CM-INS-33": Explanation(
        422, "Dossier de pilote ou de noyaux refusé",
        "Le dossier donné pour le profil gpu contient ce qui ne peut pas voyager.",
        "Retirez ou remplacez le fichier nommé, puis verrouillez le dossier à nouveau."),
    "CM-INS-61": Explanation(
        409, "Autre version à moitié installée",
        "Une installation d’une autre version a commencé sur cette machine et n’est pas finie.",
        "Terminez-la avec son propre support, puis installez celle-ci."),
    "CM-INS-62": Explanation(
        500, "Journal d’installation altéré",
        "Une ligne du journal de l’installation n’est pas celle qui fut écrite.",
        "Gardez une copie du dossier, et prévenez le RSSI."),
    "CM-INS-63": Explanation(
        409, "Installation déjà en cours",
        "Une autre installation tourne sur cette machine.",
        "Attendez sa fin, ou reprenez depuis son terminal."),
    "CM-INS-64": Explanation(
        422, "Réponse à corriger",
        "Une réponse de l’installation manque, est inconnue ou n’a pas la bonne forme.",
        "Corrigez-la ; le message dit laquelle."),
    "CM-INS-65": Explanation(
        409, "Machine pas prête",
        "Un contrôle fait avant l’installation a échoué.",
        "Suivez le remède affiché, ou passez outre avec une raison là où c’est permis."),
    "CM-INS-66": Explanation(
        409, "Contrôle strict",
        "Personne ne peut passer outre à ce contrôle.",
        "Corrigez ce que le contrôle a trouvé."),
    "CM-INS-67": Explanation(
        500, "Installation arrêtée",
        "Une phase de l’installation a échoué ; ce qui est fait est gardé.",
        "Dictez le code affiché, puis relancez la même commande."),
    "CM-INS-68": Explanation(
        422, "Procès-verbal non authentique",
        "La signature du procès-verbal ne correspond pas à son texte ou à la clé du site.",
        "Demandez l’original, et comparez l’empreinte de la clé."),
    "CM-INS-69": Explanation(
        409, "Aucune livraison installée",
        "Cette mesure porte sur un site installé ; il n’y en a pas sur cette machine.",
        "Installez d’abord le site."),
    "CM-INS-70": Explanation(
        500, "Document non composé",
        "Le PDF n’a pas pu être composé ; ce qui était fait est gardé.",
        "Relancez la même commande ; si cela se répète, dictez le code."),
    "CM-INS-71": Explanation(
        500, "Conteneur de répétition absent",
        "Le conteneur dans lequel l’installation se répète n’a pas pu être fait.",
        "Installez ce que le message nomme, puis relancez la répétition."),
    "CM-INS-72": Explanation(
        422, "Inventaire non répétable",
        "Aucun conteneur ne peut jouer cet inventaire.",
        "Répétez-le sur une machine semblable à celle du site."),
    "CM-INS-73": Explanation(
        500, "Répétition en échec",
        "L’installation s’est arrêtée pendant la répétition.",
        "Corrigez ce que le message dit, avant de partir."),
    "CM-INS-80": Explanation(
        500, "Installateur non préparé",
        "L’environnement de l’installateur n’a pas pu être fait à partir du support.",
        "Corrigez ce que la ligne affichée nomme, ou dictez-la, puis relancez."),
}  # fmt: skip
